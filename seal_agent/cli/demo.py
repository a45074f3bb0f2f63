"""`seal demo`: the bundled model learns a passage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seal_agent.cli import console
from seal_agent.cli.options import GraderOptions, Json, ModelOptions, Seed, print_json
from seal_agent.types import Verdict

if TYPE_CHECKING:
    from seal_agent.demo import DemoResult
    from seal_agent.types import Answer

NOTES_SHOWN = 12


def demo(model_options: ModelOptions, grader_options: GraderOptions, seed: Seed = 0, as_json: Json = False) -> None:
    """The model learns a passage of invented facts before your eyes (two to four minutes on two cores)."""
    from seal_agent.base_model.loading import load_model
    from seal_agent.demo import run_demo
    from seal_agent.generation.hf import HFEngine

    grader_options.check()
    with console.waiting("loading the model (the first time, the bundled weights are converted: half a minute)"):
        base = load_model(
            model_options.model,
            device=model_options.device,
            dtype=model_options.dtype,
            trust_remote_code=model_options.trust_remote_code,
        )
    with console.stage_bars(quiet=as_json) as bars:
        result = run_demo(base, seed, bars, grader_options.make(HFEngine(base)))
    if as_json:
        print_json(**_as_json(result), base=base.identity, seed=seed)
    else:
        _show(result)


def _as_json(result: DemoResult) -> dict[str, Any]:
    revision = result.revision
    return {
        "accuracy_before": result.accuracy_before,
        "accuracy_after": result.accuracy_after,
        "accuracy_in_context": result.accuracy_in_context,
        "seconds": round(result.seconds, 2),
        "stages": {stage.name: round(stage.seconds, 2) for stage in revision.stages},
        "questions": _answers_as_json(result.before, result.after, result.in_context),
        "self_test": _answers_as_json(revision.before, revision.after),
        "self_edits": [console.notes_lines(edit) for edit in revision.self_edits],
    }


def _answers_as_json(*columns: tuple[Answer, ...]) -> list[dict[str, Any]]:
    names = ("before", "after", "in_context")[: len(columns)]
    return [
        {
            "question": row[0].question.text,
            "golds": list(row[0].question.golds),
            **{
                name: {"answer": answer.text, "verdict": answer.verdict.value}
                for name, answer in zip(names, row, strict=True)
            },
        }
        for row in zip(*columns, strict=True)
    ]


def _count(answers: Sequence[Answer]) -> str:
    return f"{sum(answer.verdict is Verdict.CORRECT for answer in answers)} of {len(answers)}"


def _not_graded(answers: Sequence[Answer]) -> str:
    missing = sum(answer.verdict is Verdict.UNGRADED for answer in answers)
    return f" ({missing} could not be graded)" if missing else ""


def _show(result: DemoResult) -> None:
    show, revision = console.out.print, result.revision
    show(f"\n[bold]{revision.context.title}[/bold], a passage of invented facts:", soft_wrap=False)
    show(revision.context.text, style="dim")
    show("\nNotes that the model wrote about it:")
    notes = [line for edit in revision.self_edits for line in console.notes_lines(edit)]
    for line in notes[:NOTES_SHOWN]:
        show(f"  {line}", style="dim", markup=False)
    if len(notes) > NOTES_SHOWN:
        show(f"  … and {len(notes) - NOTES_SHOWN} more", style="dim")
    show("\nAsked [bold]without[/bold] the passage, before and after it trained on passage and notes:")
    show(console.answers_table(result.before, result.after))
    for label, answers in (
        ("before", result.before),
        ("after", result.after),
        ("with the passage in the prompt", result.in_context),
    ):
        show(f"  {_count(answers)} right {label}{_not_graded(answers)}")
    if revision.self_tested:
        show("\nIts own test, which it was not trained on; gold is what it answered with the sentence in view:")
        show(console.answers_table(revision.before, revision.after))
    show(f"\n{console.stages_line(revision.stages)} · {result.seconds:.1f} s in all", style="dim")
    show('Next: seal adapt YOUR.txt, then seal ask "…"', markup=False)
