"""The prompt in which the model proposes a change: the parent's settings, its results, what came of its children."""

from __future__ import annotations

from seal_agent.outer_loop.tuning.archive import Archive, Candidate
from seal_agent.outer_loop.tuning.settings import SETTINGS, Value, value_of
from seal_agent.prompts import fill, load_prompt

PROMPT = "tune-recipe"
MAX_TOKENS = 160  # three changes have about 90
TEMPERATURE = 0.8  # children of one parent differ; not tuned
MAX_CHILDREN = 6  # shown, the latest ones; the prompt stays short


def proposal_prompt(archive: Archive, parent: Candidate) -> str:
    """The prompt. It holds nothing that a clock decides, so that a run that is begun again asks the same."""
    settings = "\n".join(
        f"{setting.name} = {_plain(value_of(parent.recipe, setting.name))} ({setting.range()})" for setting in SETTINGS
    )
    return fill(
        load_prompt(PROMPT), settings=settings, results=_results(archive, parent), tried=_tried(archive, parent)
    )


def _results(archive: Archive, candidate: Candidate) -> str:
    accuracy, harm, tokens = archive.accuracy(candidate.id), archive.harm(candidate.id), archive.tokens(candidate.id)
    if accuracy is None:
        return "not measured"
    if harm is None or tokens is None:
        failures = [score.failure for score in archive.scores(candidate.id) if score.failure]
        return f"could not be trained: {failures[0]}"
    return (
        f"answers {accuracy.mean:.0%} of the questions about {accuracy.count} texts; other texts become {harm:+.1%} "
        f"more perplexing; {tokens:.0f} tokens are trained on per text"
    )


def _tried(archive: Archive, parent: Candidate) -> str:
    lines = []
    for child in archive.children(parent.id)[-MAX_CHILDREN:]:
        gain = archive.gain(child.id, parent.id)
        outcome = f"{sum(gain) / len(gain):+.0%} right answers" if gain else "no result"
        lines.append(f"{', '.join(map(str, child.changes))}: {outcome}")
    return "\n".join(lines) or "nothing yet"


def _plain(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"
