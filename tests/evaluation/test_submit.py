"""A row is accepted if it holds, and refused with the reason if it was changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from bench_rows import arc_row, novel_row

from seal_agent.arc.text import parse_attempts
from seal_agent.config import RECIPES
from seal_agent.data.bundled import novel
from seal_agent.errors import InputError
from seal_agent.evaluation.assemble import recipe_facts
from seal_agent.evaluation.leaderboard.site import entries_of
from seal_agent.evaluation.passages import choose_passages, data_hash, unit_id
from seal_agent.evaluation.results import read_results, write_results
from seal_agent.evaluation.samples import Sample, read_samples, write_samples
from seal_agent.evaluation.scoring import graded_arc, unit_scores
from seal_agent.evaluation.statistics import measures_of
from seal_agent.evaluation.submit import check_submission
from seal_agent.types import Verdict


@pytest.fixture
def row(tmp_path: Path) -> Path:
    return novel_row(tmp_path, "default", [4, 2])


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


def change_answers(path: Path, edit: Callable[[Any], Any]) -> None:
    """Change every answer, and put the new file's hash into the row, as a forger would."""
    stored = read_results(path).samples
    assert stored
    answers = path.with_name(stored.file)
    sha256 = write_samples([edit(sample) for sample in read_samples(answers, stored.sha256)], answers)
    change(path, lambda value: value["samples"].update(sha256=sha256))


def test_an_honest_row_is_accepted_with_what_was_checked(row: Path) -> None:
    checks = check_submission(row).made
    assert "graded again with the same verdicts: 48 answers" in checks
    assert "the questions are those of 8 passages of the suite" in checks


def test_a_raised_mean_is_refused(row: Path) -> None:
    change(row, lambda value: value["measures"]["contains"].update(value=0.9))
    with pytest.raises(InputError, match=r"contains is 0\.9000 .* but the units give 0\.5000"):
        check_submission(row)


def test_a_narrowed_interval_is_refused(row: Path) -> None:
    change(row, lambda value: value["measures"]["contains"].update(low=0.49))
    with pytest.raises(InputError, match="the units give"):
        check_submission(row)


def test_raised_units_are_refused_even_if_the_mean_follows(row: Path) -> None:
    results = read_results(row)
    units = [replace(unit, scores={**unit.scores, "contains": 1.0}) for unit in results.units]
    means = {name: asdict(measure) for name, measure in measures_of(units).items()}
    change(row, lambda value: value.update(units=[asdict(unit) for unit in units], measures=means))
    with pytest.raises(InputError, match="but its answers give"):
        check_submission(row)


def test_changed_answers_are_refused_by_their_hash(row: Path) -> None:
    stored = read_results(row).samples
    assert stored
    with row.with_name(stored.file).open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="SHA-256"):
        check_submission(row)


def test_answers_that_do_not_deserve_their_verdict_are_refused(row: Path) -> None:
    change_answers(row, lambda s: replace(s, answer=" ".join(word[::-1] for word in s.answer.split())))
    with pytest.raises(InputError, match=r"is graded wrong.*but the file says correct"):
        check_submission(row)


def test_verdicts_raised_together_with_their_scores_are_refused(row: Path) -> None:
    change_answers(row, lambda sample: replace(sample, verdict=Verdict.CORRECT, direct="correct"))
    with pytest.raises(InputError, match="but its answers give"):
        check_submission(row)


def test_easier_questions_are_refused(row: Path) -> None:
    change_answers(row, lambda sample: replace(sample, golds=(*sample.golds, "something")))
    with pytest.raises(InputError, match="gold answers are not the suite's"):
        check_submission(row)


def test_a_row_about_other_passages_is_refused(row: Path) -> None:
    change(row, lambda value: value["data"].update(hash="0" * 64))
    with pytest.raises(InputError, match="their hash differs"):
        check_submission(row)


def test_passages_that_were_picked_by_hand_are_refused(tmp_path: Path) -> None:
    """Those with the best answers, with every figure made to follow."""
    row = novel_row(tmp_path, "default", [4, 2])
    chosen = choose_passages(novel(), 8)[::2]
    units = {unit_id(context) for context in chosen}
    change(row, lambda v: v.update(units=[unit for unit in v["units"] if unit["id"] in units]))
    change(row, lambda v: v["data"].update(hash=data_hash(chosen), units=len(chosen)))
    forge(row, lambda sample: sample.unit in units)
    with pytest.raises(InputError, match=r"the 4 passages are not the first ones .* whole seal_novel"):
        check_submission(row)


def test_a_row_without_answers_is_refused(row: Path) -> None:
    change(row, lambda value: value.update(samples=None))
    with pytest.raises(InputError, match="names no file of answers"):
        check_submission(row)


def test_an_unknown_suite_is_refused(row: Path) -> None:
    change(row, lambda value: value.update(suite="mine"))
    with pytest.raises(InputError, match="'mine', which there is not"):
        check_submission(row)


def test_a_score_that_was_left_out_of_the_worst_units_is_refused(row: Path) -> None:
    results = read_results(row)
    units = [
        replace(u, scores={name: v for name, v in u.scores.items() if name != "contains" or v > 0.5})
        for u in results.units
    ]
    means = {name: asdict(measure) for name, measure in measures_of(units).items()}
    change(row, lambda value: value.update(units=[asdict(unit) for unit in units], measures=means))
    with pytest.raises(InputError, match=r"contains of .* is missing, but its answers give"):
        check_submission(row)


def forge(path: Path, keep: Callable[[Sample], bool], edit: Callable[[Sample], Sample] = lambda s: s) -> None:
    """Drop or change answers, and make everything else of the row follow from what is left."""
    stored = read_results(path).samples
    assert stored
    answers = path.with_name(stored.file)
    samples = [edit(sample) for sample in read_samples(answers, stored.sha256) if keep(sample)]
    scores = unit_scores(samples)
    units = [replace(unit, scores=scores[unit.id]) for unit in read_results(path).units]
    means = {name: asdict(measure) for name, measure in measures_of(units).items()}
    new = {"file": stored.file, "sha256": write_samples(samples, answers), "count": len(samples)}
    questions = len({(sample.unit, sample.question) for sample in samples})
    change(path, lambda v: v.update(units=[asdict(u) for u in units], measures=means, samples=new))
    change(path, lambda v: v["data"].update(questions=questions))


def test_answers_that_were_left_out_are_refused(row: Path) -> None:
    forge(row, lambda sample: sample.verdict is Verdict.CORRECT)
    with pytest.raises(InputError, match=r"the answer to .* is missing"):
        check_submission(row)


def test_a_seed_without_answers_is_refused(row: Path) -> None:
    change(row, lambda value: value.update(seeds=[0, 1]))
    with pytest.raises(InputError, match=r"the answers are of \[0\]"):
        check_submission(row)


def test_wrong_answers_that_are_called_missing_are_refused(row: Path) -> None:
    def hidden(sample: Sample) -> Sample:
        wrong = sample.verdict is Verdict.WRONG
        return replace(sample, answer="[no answer: lost]", verdict=Verdict.UNGRADED, direct="") if wrong else sample

    forge(row, lambda _: True, hidden)
    with pytest.raises(InputError, match="are missing although it was learnt"):
        check_submission(row)


def call_failed(row: Path, failed: int) -> list[str]:
    """Put "no answer" in place of the answers to so many passages, and make everything else follow; their titles."""
    results = read_results(row)
    lost = {unit.id: unit.title for unit in results.units[:failed]}

    def hidden(sample: Sample) -> Sample:
        if sample.unit not in lost:
            return sample
        return replace(sample, answer="[no answer: loss is NaN]", verdict=Verdict.UNGRADED, direct="")

    write_results(replace(results, units=[unit for unit in results.units if unit.id not in lost]), row)
    forge(row, lambda _: True, hidden)
    titles = list(lost.values())
    change(row, lambda v: v["data"].update(units=len(v["units"])))
    change(row, lambda v: v.update(failures=[f"{title}: loss is NaN" for title in titles]))
    return titles


def test_a_row_may_lack_a_few_passages_that_failed_and_no_more(tmp_path: Path) -> None:
    few, many = (novel_row(tmp_path / str(n), "default", [4, 2], passages=16) for n in (1, 2))
    call_failed(few, 1)
    call_failed(many, 2)
    assert check_submission(few)
    with pytest.raises(InputError, match=r"2 of 16 passages, .* a row may lack 10% of them"):
        check_submission(many)


def test_every_failure_is_of_a_passage_whose_answers_are_missing(tmp_path: Path) -> None:
    row = novel_row(tmp_path, "default", [4, 2], passages=16)
    change(row, lambda v: v.update(failures=["x"]))
    with pytest.raises(InputError, match="'x' is of nothing whose answers are missing"):
        check_submission(row)
    change(row, lambda v: v.update(failures=[]))
    (title,) = call_failed(row, 1)
    change(row, lambda v: v.update(failures=["Another title: loss is NaN"]))
    with pytest.raises(InputError, match="are missing, and no failure says why"):
        check_submission(row)
    change(row, lambda v: v.update(failures=[f"{title}: loss is NaN"] * 2))
    with pytest.raises(InputError, match="is of nothing whose answers are missing"):
        check_submission(row)


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda v: v.update(primary="words"), "is ranked by contains"),
        (lambda v: v.update(higher_is_better=False), "of which more is better"),
        (lambda v: v["data"].update(units=9), "data.units is 9, but the row has 8"),
        (lambda v: v["data"].update(questions=9), "data.questions is 9"),
        (lambda v: v["data"].update(seen=1), "data.seen is 1"),
        (lambda v: v["samples"].update(count=9), "samples.count is 9"),
        (lambda v: v.update(seeds=[0, 0]), "stands in the row twice"),
        (lambda v: v.update(curves={"accuracy": [[1.0]]}), "accuracy matrix does not follow"),
        (lambda v: v["recipe"].update(settings={"searched": [v["units"][0]["id"]]}), "mark it as seen"),
    ],
)
def test_what_contradicts_the_suite_or_the_row_itself_is_refused(
    row: Path, edit: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    change(row, edit)
    with pytest.raises(InputError, match=complaint):
        check_submission(row)


def test_a_file_with_the_settings_of_the_default_recipe_is_marked_as_it_is(tmp_path: Path) -> None:
    settings = recipe_facts("mine.toml", replace(RECIPES["default"], searched=False), {}).settings
    some = novel_row(tmp_path, "mine.toml", [4], passages=18)

    def named(value: dict[str, Any]) -> None:
        value["recipe"].update(settings=json.loads(json.dumps(settings)))

    change(some, named)
    with pytest.raises(InputError, match="mark it as seen"):
        check_submission(some)
    change(some, lambda value: value["recipe"]["settings"]["inner_loop"].update(epochs=5))
    assert check_submission(some)


def test_a_row_without_what_ranks_it_makes_no_site(row: Path) -> None:
    change(row, lambda value: value["measures"].pop("contains"))
    with pytest.raises(InputError, match="has no contains"):
        entries_of([row])


# ---------------------------------------------------------------- ARC


def test_outputs_of_puzzles_are_compared_with_the_tasks(tmp_path: Path) -> None:
    row = arc_row(tmp_path)
    assert "the questions are those of 3 tasks of the suite" in check_submission(row).made
    stored = read_results(row).samples
    assert stored
    answers = row.with_name(stored.file)

    def easier(sample: Sample) -> Sample:
        attempt = parse_attempts(sample.answer, "compact", 1)[0]
        return graded_arc(replace(sample, golds=(json.dumps(attempt.rows),)))

    samples = [easier(sample) for sample in read_samples(answers, stored.sha256)]
    scores = unit_scores(samples, arc=True)
    units = [replace(unit, scores=scores[unit.id]) for unit in read_results(row).units]
    means = {name: asdict(measure) for name, measure in measures_of(units).items()}
    change(row, lambda v: v.update(units=[asdict(u) for u in units], measures=means))
    change(row, lambda v: v["samples"].update(sha256=write_samples(samples, answers)))
    with pytest.raises(InputError, match="gold answers are not the suite's"):
        check_submission(row)
