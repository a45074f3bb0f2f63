"""Which recipe teaches most, and what does it cost? A search by successive halving, then a test on other passages.

    python benchmarks/recipes.py                                                       # the bundled passages alone
    python benchmarks/recipes.py --squad ../shared/data/squad_val.jsonl                # search, then confirm
    python benchmarks/recipes.py --squad ../shared/data/squad_val.jsonl --rungs 3 6 24 --eta 4     # a shorter search
    python benchmarks/recipes.py --squad ../shared/data/squad_val.jsonl --rungs 0 --finalists passage    # no search

Search: all recipes learn the first few passages of both domains, `seal_novel` and SQuAD; the better half of them (with
--eta 4: quarter) learns more, and so on from rung to rung. The best go on to passages that no recipe has seen, 100 of
SQuAD and what is left of `seal_novel`, beside the untouched model, the model with the passage in its prompt, and the
paper's passage-only protocol. All answer the same questions, and differences are paired by passage. Of several
finalists the choice is the one that is best there, both domains weighing the same. On 60 of the confirmed passages of
SQuAD the model also writes its self-test: Spearman's rank correlation of its gain there with its true gain is reported.
A stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import results_file
from self_test_correlation import correlation

from seal_agent.adaptation.answering import answer_questions
from seal_agent.adaptation.lesson import Lesson, job_of, write_lessons
from seal_agent.adaptation.self_test import write_self_tests
from seal_agent.base_model.loading import load_model
from seal_agent.config import PLAIN_LORA, InnerLoopConfig, SelfEditConfig
from seal_agent.config import RECIPES as NAMED
from seal_agent.data import bundled, contexts
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.graders import default_grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.report.interval import DRAWS
from seal_agent.training.train import train
from seal_agent.types import Context

AT_ONCE = 8  # passages written about, trained on and asked about together
NOVEL, SQUAD = "seal_novel", "squad"
SELF_TESTED = 60  # of the confirmed passages of SQuAD
EXPLORED = 24  # passages of each domain that the search may see; the others confirm
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How notes are written and learnt; without `inner_loop` nothing is trained."""

    name: str
    self_edit: SelfEditConfig
    inner_loop: InnerLoopConfig | None = None
    in_context: bool = False


NOTHING = SelfEditConfig(formats=("passage",), synonyms=0)
NOTES = replace(NOTHING, formats=("implications",))
QA = replace(NOTHING, formats=("sentences", "sentence-qa"))
SENTENCES = ("sentences", "shuffled", "cloze")
UPPER_HALF = tuple(f"layers.{number}" for number in range(15, 30))  # of the bundled model
EVIDENCE = replace(NOTHING, formats=("evidence",), cues=0)
ALL = replace(PLAIN_LORA, rank=32, alpha=64.0, targets=("all",), epochs=5, learning_rate=1e-3, batch_size=4)
REFERENCES = (
    Recipe("base", NOTHING),
    Recipe("in context", NOTHING, in_context=True),
    Recipe("passage, q and v (the paper's)", NOTHING, NAMED["paper"].inner_loop),
)
RECIPES = (
    Recipe("passage", NOTHING, replace(ALL, epochs=25, batch_size=1)),
    Recipe("implications", NOTES, replace(ALL, epochs=10)),
    Recipe("implications, not verified", replace(NOTES, verify="off"), replace(ALL, epochs=10)),
    Recipe("sentence-qa", QA, replace(ALL, epochs=8)),
    Recipe("sentence-qa, distilled too", QA, replace(ALL, objective="both")),
    Recipe("sentence-qa, distilled", QA, replace(ALL, objective="distill")),
    Recipe("self-qa", replace(NOTHING, formats=("self-qa",)), replace(ALL, epochs=10)),
    Recipe("sentences, shuffled, cloze", replace(NOTHING, formats=SENTENCES), replace(ALL, epochs=6)),
    Recipe("evidence, no cues", EVIDENCE, replace(ALL, epochs=8)),
    Recipe("evidence, no cues, upper half", EVIDENCE, replace(ALL, epochs=8, targets=UPPER_HALF)),
    Recipe("evidence, 3 cues", replace(EVIDENCE, cues=3), replace(ALL, epochs=4)),
    Recipe("evidence, 3 cues, 16 anchors", replace(EVIDENCE, cues=3), replace(ALL, epochs=4, anchors=16)),
    Recipe(
        "evidence, 3 cues, null space",
        replace(EVIDENCE, cues=3),
        replace(ALL, epochs=4, learning_rate=4e-3, null_space=0.6),
    ),
    Recipe(
        "evidence, 9 openings",
        replace(EVIDENCE, cues=3),
        replace(ALL, alpha=512.0, epochs=3, null_space=0.6, openings=9, shrink=1.0),
    ),
    Recipe(
        "evidence, 9 openings, synonyms",
        replace(EVIDENCE, cues=3, synonyms=3),
        replace(ALL, alpha=512.0, epochs=3, null_space=0.6, openings=9, shrink=1.0),
    ),
    Recipe("evidence, 8 cues", replace(EVIDENCE, cues=8), replace(ALL, epochs=2)),
    Recipe("evidence, 8 cues, rank 8", replace(EVIDENCE, cues=8), replace(ALL, epochs=2, rank=8, alpha=16.0)),
    Recipe("evidence, 8 cues, 5e-4", replace(EVIDENCE, cues=8), replace(ALL, epochs=3, learning_rate=5e-4)),
)


class Bench:
    """The model under test; lessons are written once for all recipes that write alike."""

    def __init__(self, model: str, seed: int) -> None:
        self.base = load_model(model)
        self.engine = HFEngine(self.base)
        self.seed = seed
        self._lessons: dict[tuple[SelfEditConfig, Context], tuple[Lesson, float]] = {}

    def measure(self, recipe: Recipe, contexts: Sequence[Context], self_test: bool) -> list[Row]:
        """One row per passage; its seconds are its share of those of all passages measured with it."""
        adapters: list[LoraAdapter | None] = [None] * len(contexts)
        lessons, writing, training = [], [0.0] * len(contexts), 0.0
        if recipe.inner_loop:
            inner_loop = replace(recipe.inner_loop, seed=self.seed)
            lessons, writing = self._written(recipe.self_edit, contexts, self_test)
            started = time.perf_counter()
            jobs = [job_of(self.engine, self.base, one, inner_loop) for one in lessons]
            adapters = [one.adapter for one in train(self.base, jobs)]
            training = (time.perf_counter() - started) / len(contexts)
        rows: list[Row] = [
            {"seconds_to_write": round(wrote, 2), "seconds_to_train": round(training, 2)} for wrote in writing
        ]
        self._ask(rows, "answers", contexts, adapters, recipe.in_context)
        if self_test and lessons:
            asked = [replace(c, questions=lesson.held_out) for c, lesson in zip(contexts, lessons, strict=True)]
            self._ask(rows, "self_before", asked, [None] * len(asked))
            self._ask(rows, "self_after", asked, adapters)
        return rows

    def _ask(
        self,
        rows: Sequence[Row],
        name: str,
        contexts: Sequence[Context],
        adapters: Sequence[LoraAdapter | None],
        in_context: bool = False,
    ) -> None:
        answered = answer_questions(self.engine, contexts, default_grader(), adapters=adapters, in_context=in_context)
        for row, answers in zip(rows, answered, strict=True):
            row[name] = [results_file.answer_row(answer) for answer in answers]

    def _written(
        self, config: SelfEditConfig, contexts: Sequence[Context], self_test: bool
    ) -> tuple[list[Lesson], list[float]]:
        new = [context for context in contexts if (config, context) not in self._lessons]
        if new:
            started = time.perf_counter()
            lessons = write_lessons(self.engine, self.base, new, config, seed=self.seed)
            seconds = (time.perf_counter() - started) / len(new)
            if self_test:
                sources = [(lesson.title, lesson.passages) for lesson in lessons]
                tests = write_self_tests(self.engine, sources, config.self_test, seed=self.seed)
                lessons = [replace(lesson, held_out=test) for lesson, test in zip(lessons, tests, strict=True)]
            self._lessons |= {(config, c): (one, seconds) for c, one in zip(new, lessons, strict=True)}
        found = [self._lessons[config, context] for context in contexts]
        return [lesson for lesson, _ in found], [seconds for _, seconds in found]


class Search:
    """The rows so far, and the passages that they are about."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.out, self.seed, self.model = options.out, options.seed, options.model
        self.passages = {NOVEL: _shuffled(bundled.novel(), options.seed)}
        if options.squad:
            self.passages[SQUAD] = _shuffled(contexts.read_contexts(options.squad), options.seed)
        passages = {domain: len(contexts) for domain, contexts in self.passages.items()}
        self.config = {"model": options.model, "seed": options.seed, "passages": passages}
        self.run, self.rows = results_file.describe_run(), _graded(results_file.load(options.out, self.config))
        self.bench: Bench | None = None

    def learn(self, recipes: Sequence[Recipe], spans: dict[str, tuple[int, int]], self_test: bool = False) -> None:
        """Measure what is not yet on file of these passages, [start, stop) of each domain; domains together."""
        for recipe in recipes:
            missing = [
                (domain, number)
                for domain, (start, stop) in spans.items()
                for number in range(start, min(stop, len(self.passages[domain])))
                if not self.of(recipe, domain, number, number + 1)
            ]
            for at in range(0, len(missing), AT_ONCE):
                chunk = missing[at : at + AT_ONCE]
                contexts = [self.passages[domain][number] for domain, number in chunk]
                self.bench = self.bench or Bench(self.model, self.seed)
                measured = self.bench.measure(recipe, contexts, self_test)
                self.rows += [
                    {
                        "recipe": _key(recipe),
                        "domain": domain,
                        "passage": number,
                        "title": context.title,
                        "commit": self.run["commit"],
                        **row,
                    }
                    for (domain, number), context, row in zip(chunk, contexts, measured, strict=True)
                ]
                self.save()
                for domain, (start, stop) in spans.items():
                    if rows := self.of(recipe, domain, start, stop):
                        print(_line(rows, recipe.name, domain), flush=True)

    def of(self, recipe: Recipe, domain: str, start: int, stop: int) -> list[Row]:
        """Rows of a recipe about these passages, in the order of the passages."""
        key = _key(recipe)
        rows = [r for r in self.rows if r["recipe"] == key and r["domain"] == domain and start <= r["passage"] < stop]
        return sorted(rows, key=lambda row: row["passage"])

    def save(self, **more: Any) -> None:
        results_file.save(self.out, self.config, self.run, self.rows, **more)

    def explore(self, recipes: Sequence[Recipe], rungs: Sequence[int], eta: int) -> list[Recipe]:
        """Successive halving, one of `eta` going on (two at least); the recipes of the last rung, best first."""
        left = list(recipes)
        for number, rung in enumerate(rungs):
            if number:
                left = left[: max(2, len(left) // eta)]
            self.learn(left, dict.fromkeys(self.passages, (0, rung)))
            left.sort(key=lambda recipe: -self.score(recipe, rung))
            print(f"after {rung} passages of each domain: {', '.join(recipe.name for recipe in left)}", flush=True)
        return left

    def score(self, recipe: Recipe, stop: int) -> float:
        """Accuracy, both domains weighing the same."""
        return _mean_of_means([_shares(self.of(recipe, domain, 0, stop)) for domain in self.passages])


def main() -> None:
    options = _options()
    search = Search(options)
    by_name = {recipe.name: recipe for recipe in (*REFERENCES, *RECIPES)}
    found = search.explore(RECIPES, options.rungs, options.eta) if max(options.rungs) else []
    finalists = [by_name[name] for name in options.finalists] if options.finalists else found[:1]
    tested = EXPLORED + min(SELF_TESTED, options.confirm)
    others = {NOVEL: options.confirm_novel, SQUAD: options.confirm}
    spans = {domain: (EXPLORED, EXPLORED + others[domain]) for domain in search.passages}
    search.learn(REFERENCES, spans)
    if SQUAD in spans:
        search.learn(finalists, {SQUAD: (EXPLORED, tested)}, self_test=True)
    search.learn(finalists, spans)
    summary = summarise(search, finalists, spans)
    search.save(summary=summary)
    plot(search, options.out.with_suffix(".png"))
    print("\n" + table(summary))
    print(json.dumps(summary["confirmed"]))


# ---------------------------------------------------------------- figures


def summarise(search: Search, finalists: Sequence[Recipe], spans: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """What the search saw of each recipe, and what the confirmed ones reach and gain on passages of their own."""
    explored = [
        _figures(recipe, domain, rows)
        for recipe in RECIPES
        for domain in search.passages
        if (rows := search.of(recipe, domain, 0, EXPLORED))
    ]
    confirmed, gains, tests = [], [], []
    for domain in search.passages:
        of = {recipe.name: search.of(recipe, domain, *spans[domain]) for recipe in (*REFERENCES, *finalists)}
        confirmed += [_figures(r, domain, of[r.name]) for r in (*REFERENCES, *finalists) if of[r.name]]
        for recipe in finalists:
            if of[recipe.name]:
                gains += [_gain(recipe, domain, of[recipe.name], other, of[other.name]) for other in REFERENCES]
            tested = [row for row in of[recipe.name] if row.get("self_before")]
            untouched = {row["passage"]: row for row in of["base"]}
            if tested:
                pairs = [
                    {**row, "before": untouched[row["passage"]]["answers"], "after": row["answers"]} for row in tested
                ]
                tests.append(
                    {"recipe": recipe.name, "domain": domain, "passages": len(of[recipe.name]), **correlation(pairs)}
                )
    chosen = choice(search, finalists, spans)
    return {"explored": explored, "confirmed": confirmed, "gains": gains, "choice": chosen, "self_test": tests}


def choice(search: Search, finalists: Sequence[Recipe], spans: dict[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """The finalists on the confirming passages, best first, each with its paired difference from the best.

    Scores are the mean of the domains' means; passages are drawn within their domain for the 95 % intervals, seed 0.
    Finalists that have not learnt all that the others have are left out.
    """
    shares = {r.name: [_shares(search.of(r, domain, *spans[domain])) for domain in search.passages] for r in finalists}
    counts = max(([len(of) for of in every] for every in shares.values()), default=[])
    shares = {name: every for name, every in shares.items() if [len(of) for of in every] == counts and all(counts)}
    scores = {name: _mean_of_means(every) for name, every in shares.items()}
    order = sorted(scores, key=lambda name: -scores[name])
    draw = np.random.default_rng(0)
    picks = [draw.integers(0, count, (DRAWS, count)) for count in counts]
    chosen = []
    for name in order:
        differences = [np.subtract(mine, best) for mine, best in zip(shares[name], shares[order[0]], strict=True)]
        drawn = np.mean([of[at].mean(1) for of, at in zip(differences, picks, strict=True)], axis=0)
        low, high = np.quantile(drawn, [0.025, 0.975])
        chosen.append(
            {
                "recipe": name,
                "score": scores[name],
                "difference": scores[name] - scores[order[0]],
                "interval": [float(low), float(high)],
            }
        )
    return chosen


def table(summary: dict[str, Any]) -> str:
    """Markdown: the search, the confirmation, the paired gains, the choice."""
    lines = []
    for name in ("explored", "confirmed"):
        lines += [
            f"| {name} | domain | passages | right, % (95 % interval) | s to write | s to train |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {s['recipe']} | {s['domain']} | {s['passages']} | {_percent(s['accuracy'], s['interval'])} "
            f"| {s['seconds_to_write']:.1f} | {s['seconds_to_train']:.1f} |"
            for s in summary[name]
        ] + [""]
    lines += ["| gain | over | domain | points (95 % interval) | ratio (95 % interval) |", "|---|---|---|---|---|"]
    lines += [
        f"| {s['recipe']} | {s['over']} | {s['domain']} | {_percent(s['difference'], s['interval'])} | {_times(s)} |"
        for s in summary["gains"]
    ]
    lines += ["", "| choice | score, % | points over the first (95 % interval) |", "|---|---|---|"]
    lines += [
        f"| {s['recipe']} | {100 * s['score']:.1f} | {_percent(s['difference'], s['interval'])} |"
        for s in summary["choice"]
    ]
    return "\n".join(lines)


def plot(search: Search, path: Path) -> None:
    """Accuracy against seconds per passage; a line joins the recipes that none beats in both."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points = []
    for recipe in RECIPES:
        rows = [search.of(recipe, domain, 0, EXPLORED) for domain in search.passages]
        if all(rows):
            every = [row for of_domain in rows for row in of_domain]
            seconds = np.mean([row["seconds_to_write"] + row["seconds_to_train"] for row in every])
            accuracy = 100 * _mean_of_means([_shares(of_domain) for of_domain in rows])
            points.append((float(seconds), accuracy, recipe.name, len(every)))
    points.sort(key=lambda point: -point[1])
    figure, axes = pyplot.subplots(figsize=(11, 5.5))
    for number, (seconds, accuracy, name, count) in enumerate(points, 1):
        axes.scatter(
            seconds, accuracy, s=12 * count, color="tab:blue", alpha=0.6, label=f"{number}  {name} ({count} passages)"
        )
        axes.annotate(str(number), (seconds, accuracy), fontsize=8, ha="center", va="center")
    front = [p for p in sorted(points) if all(q[1] < p[1] or q[0] >= p[0] for q in points if q is not p)]
    axes.plot([p[0] for p in front], [p[1] for p in front], color="tab:orange", linewidth=1, label="Pareto front")
    axes.set(
        xlabel="seconds per passage to write and train", ylabel="right without the passage, %, mean of both domains"
    )
    axes.set_title("Recipes in the search")
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, handlelength=0.5, frameon=False)
    for handle in legend.legend_handles[: len(points)]:
        handle.set_sizes([0])  # the number stands for the point
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _graded(rows: list[Row]) -> list[Row]:
    """Rows of an earlier run with their answers graded by the grader of today."""
    grader = default_grader()
    for row in rows:
        for answer in (answer for name in ("answers", "self_before", "self_after") for answer in row.get(name, ())):
            answer["verdict"] = grader.grade(answer["question"], answer["golds"], answer["answer"]).value
    return rows


def _key(recipe: Recipe) -> dict[str, Any]:
    """A recipe as it stands in the results file; another setting makes another recipe."""
    key: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    for name in ("continued", "replay"):  # without effect on an adapter's first passage
        (key["inner_loop"] or {}).pop(name, None)
    return key


def _shares(rows: Sequence[Row]) -> list[float]:
    return [results_file.share_right(row["answers"]) for row in rows]


def _mean_of_means(of_domains: Sequence[Sequence[float]]) -> float:
    return float(np.mean([np.mean(of) for of in of_domains]))


def _figures(recipe: Recipe, domain: str, rows: Sequence[Row]) -> dict[str, Any]:
    shares = _shares(rows)
    words = [len(a["answer"].split()) for row in rows for a in row["answers"]]
    return {
        "recipe": recipe.name,
        "domain": domain,
        "passages": len(rows),
        "questions": len(words),
        "accuracy": float(np.mean(shares)),
        "interval": results_file.interval(shares),
        "words_of_an_answer": float(np.mean(words)),
        "seconds_to_write": float(np.mean([row["seconds_to_write"] for row in rows])),
        "seconds_to_train": float(np.mean([row["seconds_to_train"] for row in rows])),
    }


def _gain(recipe: Recipe, domain: str, rows: Sequence[Row], other: Recipe, others: Sequence[Row]) -> dict[str, Any]:
    """Difference and ratio of the means over the passages that both have, with bootstrap intervals over passages."""
    right = dict(zip((row["passage"] for row in others), _shares(others), strict=True))
    pairs = [(s, right[row["passage"]]) for row, s in zip(rows, _shares(rows), strict=True) if row["passage"] in right]
    mine, theirs = [m for m, _ in pairs], [t for _, t in pairs]
    differences, found = [m - t for m, t in pairs], results_file.ratio(mine, theirs)
    return {
        "recipe": recipe.name,
        "over": other.name,
        "domain": domain,
        "passages": len(mine),
        "difference": float(np.mean(differences)),
        "interval": results_file.interval(differences),
        "ratio": found and found[0],
        "ratio_interval": found and found[1],
    }


def _percent(value: float, interval: Sequence[float]) -> str:
    return f"{100 * value:.1f} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _times(gain: dict[str, Any]) -> str:
    if gain["ratio"] is None:
        return "—"
    low, high = gain["ratio_interval"]
    return f"{gain['ratio']:.2f} ({low:.2f} to {high:.2f})"


def _line(rows: Sequence[Row], name: str, domain: str) -> str:
    shares, seconds = _shares(rows), [row["seconds_to_write"] + row["seconds_to_train"] for row in rows]
    right, each = 100 * np.mean(shares), np.mean(seconds)
    return f"{name:32s} {domain:10s} {len(rows):3d} passages  {right:5.1f} %  {each:5.1f} s each"


def _shuffled(contexts: Sequence[Context], seed: int) -> list[Context]:
    return random.Random(seed).sample(list(contexts), len(contexts))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, default=os.environ.get("SEAL_SQUAD"), help="SQuAD passages as JSON lines")
    parser.add_argument(
        "--rungs", type=int, nargs="+", default=[3, 6, 12, EXPLORED], help="passages of each domain seen by then"
    )
    parser.add_argument("--eta", type=int, default=2, help="one of how many recipes goes on to the next rung")
    names = [recipe.name for recipe in (*REFERENCES, *RECIPES)]
    parser.add_argument("--finalists", nargs="+", choices=names, help="confirm these instead of the search's best")
    parser.add_argument("--confirm", type=int, default=100, help="other passages of SQuAD (default 100)")
    parser.add_argument("--confirm-novel", type=int, default=16, help="other passages of seal_novel (default 16: all)")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "recipes.json")
    options = parser.parse_args()
    if options.eta < 2:
        parser.error("--eta is at least 2")
    if max(options.rungs) > EXPLORED:
        parser.error(f"--rungs go up to {EXPLORED} passages; the others confirm")
    return options


if __name__ == "__main__":
    main()
