"""Which recipe teaches most, and at what cost? A search by successive halving, then a test on other passages.

    python benchmarks/recipes.py                                                       # the bundled passages alone
    python benchmarks/recipes.py --squad ../shared/data/squad_val.jsonl                # search, then confirm
    python benchmarks/recipes.py --squad ../shared/data/squad_val.jsonl --rungs 3 6 24 --eta 4     # a shorter search
    python benchmarks/recipes.py --squad ../shared/data/squad_val.jsonl --rungs 0 --finalists passage    # no search

The shorter search wrote and trained for about 5 hours of one core, and confirming a finalist for about 2.4
(results/recipes.json). A stopped run resumes where it was.

The search has all recipes learn the first few passages of both domains, `seal_novel` and SQuAD. The better half (with
--eta 4: the best quarter) goes on to more passages, and so on from rung to rung.

The best recipe is then confirmed on passages that no recipe has seen, 100 of SQuAD and the rest of `seal_novel`, beside
the base model, the model with the passage in its prompt, and the paper's passage-only protocol. All answer the same
questions, and differences are paired by passage. Of several finalists the choice is the best on these passages, with
both domains weighing the same. On 60 of the confirming passages of SQuAD the model also writes a self-test; the report
has Spearman's rank correlation of the gain there with the true gain.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from parts import recipe_candidates as candidates
from parts import recipe_report as report
from parts import results_file
from parts.recipe_bench import Bench
from parts.recipe_rows import EXPLORED, NOVEL, SQUAD, Measurements, Spans, directness

from seal_agent.errors import InputError
from seal_agent.grading.graders import DEFAULT_GRADER, GRADERS, check_grader

BATCH = 8  # passages written about, trained on and asked about together
SELF_TESTED = 60  # of the confirming passages of SQuAD


class Search(Measurements):
    """Measures recipes on passages, and lets the better ones go on to more."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.bench: Bench | None = None

    def learn(self, recipes: Sequence[candidates.Recipe], spans: Spans, self_test: bool = False) -> None:
        """Measure the recipes on those of the passages that are not on file yet, both domains in the same batches."""
        for recipe in recipes:
            missing = self.missing(recipe, spans)
            for start in range(0, len(missing), BATCH):
                batch = missing[start : start + BATCH]
                self.bench = self.bench or Bench(self.model, self.seed, self.grader)
                contexts = [self.passages[domain][number] for domain, number in batch]
                self.add(recipe, batch, self.bench.measure(recipe, contexts, self_test))
                for domain, span in spans.items():
                    if rows := self.rows_of(recipe, domain, *span):
                        print(report.progress_line(rows, recipe.name, domain), flush=True)

    def explore(self, recipes: Sequence[candidates.Recipe], rungs: Sequence[int], eta: int) -> list[candidates.Recipe]:
        """Successive halving. Returns the recipes of the last rung, best first.

        Args:
            recipes: all recipes of the first rung.
            rungs: passages of each domain learned by the end of each rung.
            eta: one of how many recipes goes on to the next rung; two at least do.
        """
        remaining = list(recipes)
        for rung, stop in enumerate(rungs):
            if rung:
                remaining = remaining[: max(2, len(remaining) // eta)]
            self.learn(remaining, dict.fromkeys(self.passages, (0, stop)))
            remaining.sort(key=lambda recipe: -self.score(recipe, stop))
            names = ", ".join(recipe.name for recipe in remaining)
            print(f"after {stop} passages of each domain: {names}", flush=True)
        return remaining

    def score(self, recipe: candidates.Recipe, stop: int) -> float:
        """Direct answers on the first `stop` passages of each domain, both domains weighing the same."""
        return report.mean_of_means([directness(self.rows_of(recipe, domain, 0, stop)) for domain in self.passages])


def main() -> None:
    options = _options()
    search = Search(options)
    by_name = {recipe.name: recipe for recipe in (*candidates.REFERENCES, *candidates.RECIPES)}
    ranked = search.explore(candidates.RECIPES, options.rungs, options.eta) if max(options.rungs) else []
    finalists = [by_name[name] for name in options.finalists] if options.finalists else ranked[:1]
    self_tested_stop = EXPLORED + min(SELF_TESTED, options.confirm)
    confirming = {NOVEL: options.confirm_novel, SQUAD: options.confirm}
    spans = {domain: (EXPLORED, EXPLORED + confirming[domain]) for domain in search.passages}
    search.learn(candidates.REFERENCES, spans)
    if SQUAD in spans:
        search.learn(finalists, {SQUAD: (EXPLORED, self_tested_stop)}, self_test=True)
    search.learn(finalists, spans)
    summary = report.summarise(search, finalists, spans)
    search.save(summary=summary)
    report.plot(search, options.out.with_suffix(".png"))
    print("\n" + report.table(summary))
    print(json.dumps(summary["confirmed"]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, default=os.environ.get("SEAL_SQUAD"), help="SQuAD passages as JSON lines")
    parser.add_argument(
        "--rungs", type=int, nargs="+", default=[3, 6, 12, EXPLORED], help="passages of each domain seen by then"
    )
    parser.add_argument("--eta", type=int, default=2, help="one of how many recipes goes on to the next rung")
    names = [recipe.name for recipe in (*candidates.REFERENCES, *candidates.RECIPES)]
    parser.add_argument("--finalists", nargs="+", choices=names, help="confirm these instead of the search's best")
    parser.add_argument("--confirm", type=int, default=100, help="other passages of SQuAD (default 100)")
    parser.add_argument("--confirm-novel", type=int, default=16, help="other passages of seal_novel (default 16: all)")
    parser.add_argument("--model", default="default")
    parser.add_argument("--grader", choices=list(GRADERS), default=DEFAULT_GRADER, help="who grades the answers")
    parser.add_argument("--judge-model", help="of --grader judge: its name at the endpoint")
    parser.add_argument("--judge-url", help="of --grader judge: the endpoint; OpenAI's if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "recipes.json")
    options = parser.parse_args()
    if options.eta < 2:
        parser.error("--eta is at least 2")
    if max(options.rungs) > EXPLORED:
        parser.error(f"--rungs go up to {EXPLORED} passages; the others confirm")
    try:
        check_grader(options.grader, options.judge_model, options.judge_url)
    except InputError as err:
        parser.error(str(err))
    return options


if __name__ == "__main__":
    main()
