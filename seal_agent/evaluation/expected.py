"""Which questions a row's answers must be about: all of the suite's first passages, for every seed, and no others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from seal_agent.errors import InputError
from seal_agent.evaluation.asked import (
    REFERENCE,
    arc_hash,
    arc_tasks,
    harm_hash,
    questions_in,
    sequence_id,
    sequences_hash,
    sequences_of,
)
from seal_agent.evaluation.failed import check_failures
from seal_agent.evaluation.harm import BASE_UNIT, questions_after, surrounding_questions
from seal_agent.evaluation.passages import data_hash, unit_id
from seal_agent.evaluation.results import Results
from seal_agent.evaluation.row_claims import (
    check_corpus,
    check_names,
    check_not_bundled,
    check_puzzle_titles,
    check_sequence_titles,
)
from seal_agent.evaluation.samples import BASE, Sample
from seal_agent.evaluation.suites import SUITES, Suite, contexts_of
from seal_agent.types import Context

OTHER_QUESTIONS = "the questions are not those of the suite's passages: their hash differs"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question as it was put: of which unit and seed, at which step, about what."""

    unit: str
    seed: int
    step: int | None
    passage: str
    question: str
    golds: tuple[str, ...]


def check_questions(results: Results, samples: Sequence[Sample], data: str | None, not_made: list[str]) -> list[str]:
    """That the answers are to all questions of the suite, for every seed. Returns what was checked.

    Raises InputError where questions or gold answers are missing, twice there, or not the suite's.

    Args:
        not_made: What could not be checked is added.
    """
    suite = SUITES[results.suite]
    _check_number(results, samples, suite)
    if suite.kind == "continual":
        check_sequence_titles(results, samples)
    if suite.kind == "arc":
        checked = _check_arc(results, samples, suite)
        check_puzzle_titles(results)
        check_failures(results, samples, None)
        return [checked]
    if suite.needs_data and data is None:
        check_not_bundled(results, samples)
        check_failures(results, samples, None)
        not_made.append("whether the questions are those of the suite's passages: give --data")
        return []
    contexts = contexts_of(suite, data, None)
    check = {"continual": _check_sequences, "harm": _check_harm}.get(suite.kind, _check_passages)
    checked = check(results, samples, contexts)
    check_names(results, contexts, data)
    check_failures(results, samples, _learnt_by_harm(results, contexts) if suite.kind == "harm" else contexts)
    if reason := check_corpus(results, contexts):
        not_made.append(reason)
    return [checked]


def _check_number(results: Results, samples: Sequence[Sample], suite: Suite) -> None:
    """Raises InputError for another number of questions than the answers are to; one asked twice may count twice."""
    asked = Counter((s.unit, s.passage, s.step, s.question) for s in samples if s.seed == results.seeds[0])
    if results.data.questions not in (questions_in(samples, suite.kind == "harm"), asked.total()):
        raise InputError(
            f"data.questions is {results.data.questions}, but the answers are to "
            f"{questions_in(samples, suite.kind == 'harm')}; the file was changed"
        )


def _check_arc(results: Results, samples: Sequence[Sample], suite: Suite) -> str:
    units = dict.fromkeys(sample.unit for sample in samples)
    tasks = arc_tasks(suite, len(units))
    if arc_hash(tasks) != results.data.hash:
        raise InputError("the tasks are not the suite's first ones: their hash differs")
    expected = (
        Asked(task.id, seed, None, "", f"{task.id} test {number}", (json.dumps(example.output.rows),))
        for seed in results.seeds
        for task in tasks
        for number, example in enumerate(task.test)
    )
    _check_all(samples, expected)
    return f"the questions are those of {len(tasks)} tasks of the suite"


def _check_passages(results: Results, samples: Sequence[Sample], contexts: Sequence[Context]) -> str:
    of_unit = {sample.unit for sample in samples}
    asked = [context for context in contexts if unit_id(context) in of_unit]
    if data_hash(asked) != results.data.hash:
        raise InputError(OTHER_QUESTIONS)
    if asked != list(contexts[: len(asked)]):
        raise InputError(_not_the_first(f"{len(asked)} passages", results))
    _check_all(samples, (a for s in results.seeds for c in asked for a in _of_context(unit_id(c), s, None, "", c)))
    return f"the questions are those of {len(asked)} passages of the suite"


def _check_sequences(results: Results, samples: Sequence[Sample], contexts: Sequence[Context]) -> str:
    """Sequences that failed have the answers to the edits before; the base model was always asked."""
    known = {unit_id(context): context for context in contexts}
    passages: dict[str, dict[str, None]] = {}
    steps: dict[tuple[str, int], set[int]] = {}
    for sample in samples:
        passages.setdefault(sample.unit, {})[sample.passage] = None
        steps.setdefault((sample.unit, sample.seed), set()).add(sample.step if sample.step is not None else BASE)
    sequences = {unit: [known[p] for p in ids if p in known] for unit, ids in passages.items()}
    ours = all(unit == sequence_id(sequence) for unit, sequence in sequences.items())
    if not ours or sequences_hash(list(sequences.values())) != results.data.hash:
        raise InputError(OTHER_QUESTIONS)
    size = max(map(len, sequences.values()))
    if list(sequences.values()) != sequences_of(contexts, size, len(sequences)):
        raise InputError(_not_the_first(f"{len(sequences)} sequences", results))
    expected = [
        asked
        for unit, sequence in sequences.items()
        for seed in results.seeds
        for step in _steps(results, len(sequence), steps.get((unit, seed), set()))
        for context in (sequence if step == BASE else sequence[: step + 1])
        for asked in _of_context(unit, seed, step, unit_id(context), context)
    ]
    _check_all(samples, expected)
    return f"the questions are those of {len(sequences)} sequences of the suite's passages"


def _not_the_first(what: str, results: Results) -> str:
    return (
        f"the {what} are not the first ones of the suite's order; a row is about those that --limit takes, and where "
        f"they come from a file, --data must be the whole {results.data.name} that the row was made from"
    )


def _steps(results: Results, size: int, found: set[int]) -> list[int]:
    """The steps of one sequence and seed that answers must be about."""
    if results.recipe.mode != "self_edit":
        return [BASE, size - 1]
    return list(range(BASE, max(found, default=BASE) + 1))


def _check_harm(results: Results, samples: Sequence[Sample], contexts: Sequence[Context]) -> str:
    reference, learnt = list(contexts[-REFERENCE:]), _learnt_by_harm(results, contexts)
    units = {(sample.unit, sample.seed) for sample in samples}
    expected = [a for p, c in surrounding_questions(reference) for a in _of_context(BASE_UNIT, 0, BASE, p, c)]
    expected += [
        asked
        for seed in results.seeds
        for context in learnt
        if (unit_id(context), seed) in units
        for passage, about in questions_after(context, reference)
        for asked in _of_context(unit_id(context), seed, 0, passage, about)
    ]
    _check_all(samples, expected)
    return f"the questions are those about {len(learnt)} passages of the suite and what surrounds them"


def _learnt_by_harm(results: Results, contexts: Sequence[Context]) -> list[Context]:
    reference = list(contexts[-REFERENCE:])
    possible = (list(contexts[:limit]) for limit in range(1, len(contexts) - REFERENCE + 1))
    learnt = next((some for some in possible if harm_hash(some, reference) == results.data.hash), None)
    if learnt is None:
        raise InputError(OTHER_QUESTIONS)
    return learnt


def _of_context(unit: str, seed: int, step: int | None, passage: str, context: Context) -> Iterator[Asked]:
    for question in context.questions:
        yield Asked(unit, seed, step, passage, question.text, question.golds)


def _check_all(samples: Sequence[Sample], expected: Iterable[Asked]) -> None:
    """Raises InputError where an answer is missing, twice there, or to another question."""
    found = Counter(Asked(s.unit, s.seed, s.step, s.passage, s.question, s.golds) for s in samples)
    wanted = Counter(expected)
    for other in found - wanted:
        raise InputError(f"the question {other.question!r} or its gold answers are not the suite's, or it stands twice")
    for missing in wanted - found:
        raise InputError(
            f"the answer to {missing.question!r} with seed {missing.seed} is missing; the answers to all questions "
            "must be there"
        )
