"""Converts rows that older scripts measured into results files of `seal bench`, which the leaderboard reads.

    python benchmarks/import_rows.py --squad ../shared/data/squad_val.jsonl

Only rows are converted of which everything is known that a results file says: settings, questions, answers and the
commit. From answers.json these are the rows of the default recipe, as the adapter itself answers and in a few words
(these at the commit that last read them); from arc_toy.json the base model, the fixed self-edit and the model's own.
Answers are graded again by today's grader. The rows say that they are imported, from which file, and at which commits
they were measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from parts import results_file
from parts.answer_recipes import DEFAULT
from parts.answer_rows import shuffled

from seal_agent.base_model.bundled import DEFAULT_HUB_ID
from seal_agent.base_model.loading import load_model
from seal_agent.config import Recipe, recipe_named
from seal_agent.data import bundled, contexts
from seal_agent.evaluation.asked import arc_hash, arc_tasks
from seal_agent.evaluation.assemble import HOUR, Measured, Setting, assemble, recipe_facts
from seal_agent.evaluation.contestant import prompt_hash
from seal_agent.evaluation.passages import data_hash, is_seen, unit_id
from seal_agent.evaluation.results import DataFacts, ModelFacts, RunFacts, SamplesFile, Unit, write_results
from seal_agent.evaluation.samples import SUFFIX, Sample, write_samples
from seal_agent.evaluation.scoring import graded, unit_scores
from seal_agent.evaluation.suites import SUITES
from seal_agent.grading.graders import make_grader
from seal_agent.types import Context, Verdict, content_hash

ANSWERS, ARC = results_file.RESULTS / "answers.json", results_file.RESULTS / "arc_toy.json"
COMMANDS = {
    ANSWERS: "python benchmarks/answers.py --squad squad_val.jsonl",
    ARC: "python benchmarks/arc.py",
}
SUITE_OF = {"seal_novel": "novel_n1", "squad": "squad_n1"}
WAYS = {"base": "base", "fixed": "ttt", "self_edit": "default"}
"""Ways of that script, and the recipes that do the same."""
NO_EFFECT = ("continued", "replay")  # on an adapter's first lesson


def main() -> None:
    options = _options()
    base = load_model("default")
    parameters = int(base.module.num_parameters())
    model = ModelFacts(DEFAULT_HUB_ID, base.identity, parameters, None, "hf")  # the files do not say the dtype
    written = [*_import_answers(options, model), *_import_arc(options, model)]
    for path in written:
        print(f"wrote {path}")


def _import_answers(options: argparse.Namespace, model: ModelFacts) -> list[Path]:
    """The default recipe's rows on both domains, in both styles."""
    file = results_file.read(ANSWERS)
    passages = {"seal_novel": shuffled(bundled.novel(), file["config"]["seed"])}
    if options.squad:
        passages["squad"] = shuffled(contexts.read_contexts(options.squad), file["config"]["seed"])
    recipe, written = recipe_named("default"), []
    for domain, of_domain in passages.items():
        of_recipe = [row for row in file["rows"] if row["recipe"]["name"] == DEFAULT.name]
        rows = sorted((row for row in of_recipe if row["domain"] == domain), key=lambda row: row["passage"])
        rows = rows[: options.limit]
        costs = _costs(rows, [row for row in of_recipe if row["domain"] != domain])
        for row in rows:
            _check_settings(row["recipe"], recipe)
            _check_questions(row, of_domain[row["passage"]])
        for key, changes in (("short", {}), ("answers", {"answer_style": "plain"})):
            written.append(
                _write_answers(options.out, domain, rows, key, changes, of_domain, costs, model, file["run"])
            )
    return written


def _write_answers(
    out: Path,
    domain: str,
    rows: Sequence[dict[str, Any]],
    key: str,
    changes: dict[str, str],
    passages: Sequence[Context],
    costs: dict[str, float],
    model: ModelFacts,
    run: dict[str, Any],
) -> Path:
    """One results file: the answers under `key` of all rows of a domain."""
    asked, grader = [passages[row["passage"]] for row in rows], make_grader()
    samples = [
        graded(_sample(answer, unit_id(context)), grader)
        for row, context in zip(rows, asked, strict=True)
        for answer in row[key]
    ]
    scores = unit_scores(samples)
    units = tuple(Unit(unit_id(c), c.title, scores[unit_id(c)], is_seen(c)) for c in asked)
    recipe = recipe_named("default")
    if changes:
        recipe = replace(recipe, answer=replace(recipe.answer, style="plain"))
    suffix = "".join(f"-{name}-{value}" for name, value in changes.items())
    path = out / f"{SUITE_OF[domain]}-default-default{suffix}-{len(units)}-imported.json"
    answers = path.with_name(path.stem + SUFFIX)
    stored = SamplesFile(answers.name, write_samples(samples, answers), len(samples))
    data_name = "seal_novel" if domain == "seal_novel" else "squad_val.jsonl"
    setting = Setting(
        SUITES[SUITE_OF[domain]],
        model,
        recipe_facts("default", recipe, changes),
        (0,),
        DataFacts(data_name, data_hash(asked), len(units), len(samples), sum(unit.seen for unit in units)),
        "lexical",
        prompt_hash(recipe.answer.max_tokens),
    )
    measured = Measured(units, costs)
    commits = {row.get("read_at", row["commit"]) if key == "short" else row["commit"] for row in rows}
    write_results(assemble(setting, measured, _run(run, ANSWERS, ", ".join(sorted(commits))), stored), path)
    return path


def _sample(answer: dict[str, Any], unit: str) -> Sample:
    return Sample(
        unit,
        0,
        answer["question"],
        tuple(answer["golds"]),
        answer["answer"],
        Verdict.UNGRADED,
        recalled=answer.get("recalled", ""),
        confidence=answer.get("confidence"),
    )


def _costs(rows: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What the file knows of the costs of a domain: writing and training.

    Older rows hold equal shares of a batch. Where one mixed both domains, nobody knows what either took: there are no
    figures then.

    Args:
        others: The rows of the other domains.
    """
    if {_seconds(row) for row in rows} & {_seconds(row) for row in others}:
        return {}
    write, train = (fmean(row[name] for row in rows) for name in ("seconds_to_write", "seconds_to_train"))
    return {
        "seconds_to_write": write,
        "seconds_to_train": train,
        "seconds_per_passage": write + train,
        "adapters_per_hour": HOUR / (write + train),
    }


def _seconds(row: dict[str, Any]) -> tuple[float, float]:
    return row["seconds_to_write"], row["seconds_to_train"]


def _import_arc(options: argparse.Namespace, model: ModelFacts) -> list[Path]:
    """The ways of a script of before that are recipes. The file has no attempts, so the rows cannot be graded again."""
    file = results_file.read(ARC)
    suite, written = SUITES["arc_toy"], []
    for way, name in WAYS.items():
        rows = [row for row in file["rows"] if row["way"] == way]
        measured = [row for row in rows if not row["failure"]]
        units = tuple(
            Unit(row["task"], row["task"], {"exact_match": float(row["solved"]), "cell_acc": row["cells"]})
            for row in measured
        )
        recipe = recipe_named(name)
        setting = Setting(
            suite,
            model,
            recipe_facts(name, recipe, {}),
            (0,),
            DataFacts(suite.task, arc_hash(arc_tasks(suite)), len(units), len(units), 0),
            "exact match",
            content_hash("arc"),
        )
        figures = {"seconds_per_task": fmean(row["seconds"] for row in rows)}
        failures = tuple(f"{row['task']}: {row['failure']}" for row in rows if row["failure"])
        run = _run(file["run"], ARC, file["run"]["commit"])
        path = options.out / f"arc_toy-default-{name}-imported.json"
        write_results(assemble(setting, Measured(units, figures, failures=failures), run, None), path)
        written.append(path)
    return written


def _run(run: dict[str, Any], source: Path, commits: str) -> RunFacts:
    """The run as its file describes it; how long all of it took is not known."""
    return RunFacts(
        date=run["started"],
        command=COMMANDS[source],
        seconds=None,
        processor=run["processor"],
        cores=run["cores"],
        gpu=[run["gpu"]] if run["gpu"] else [],
        system=run["system"].split(" ")[0],
        python=run["python"],
        packages=run["packages"],
        commit=commits,
        imported_from=source.name,
    )


def _check_settings(measured: dict[str, Any], recipe: Recipe) -> None:
    """That a row was measured with the recipe as it is today."""
    for name in ("self_edit", "inner_loop"):
        now = json.loads(json.dumps(asdict(getattr(recipe, name))))
        changed = [key for key, value in measured[name].items() if now[key] != value and key not in NO_EFFECT]
        if changed:
            raise SystemExit(f"the recipe has changed since: {name}.{', '.join(changed)}; the row is not imported")


def _check_questions(row: dict[str, Any], context: Context) -> None:
    """That a row is about the passage that we take it for."""
    asked = [(answer["question"], tuple(answer["golds"])) for answer in row["answers"]]
    if context.title != row["title"] or asked != [(q.text, q.golds) for q in context.questions]:
        raise SystemExit(f"row {row['passage']} of {row['domain']} is about other questions than the file has")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, help="the SQuAD passages that answers.py was run on")
    parser.add_argument("--limit", type=int, help="the first N passages of each domain, as rivals' rows have")
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "board")
    return parser.parse_args()


if __name__ == "__main__":
    main()
