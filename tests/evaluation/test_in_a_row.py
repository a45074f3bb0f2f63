"""Sequences of edits to one adapter: kept edit by edit, resumed, listed where they fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")
pytest.importorskip("bm25s")


from bench_runs import data_of, in_a_row, run

from seal_agent.base_model.model import BaseModel
from seal_agent.data.bundled import novel
from seal_agent.data.contexts import read_contexts
from seal_agent.errors import InputError, TrainingError
from seal_agent.evaluation import continual
from seal_agent.evaluation.passages import choose_passages
from seal_agent.evaluation.regrade import regrade
from seal_agent.evaluation.results import read_results, to_json
from seal_agent.evaluation.samples import read_samples
from seal_agent.evaluation.submit import check_submission
from seal_agent.generation.hf import HFEngine
from seal_agent.integrations.lm_eval.bench.plan import plan_run


def test_edits_in_a_row_give_a_matrix_that_can_be_submitted(tmp_path: Path, tiny_base: BaseModel) -> None:
    wanted = in_a_row(tmp_path, "rows")
    path, results = run(plan_run(wanted), tiny_base, HFEngine(tiny_base))
    assert [len(row) for row in results.curves["accuracy"]] == [2, 2]
    assert results.curves["accuracy"][0][1] is None
    assert {"base", "final", "just_after", "backward_transfer", "smallest_lead"} <= set(results.measures)
    assert check_submission(path, wanted.data)
    assert regrade(path).changed == 0
    assert to_json(read_results(path)) == to_json(results)


def test_sequences_that_are_not_the_first_ones_are_refused(tmp_path: Path, tiny_base: BaseModel) -> None:
    wanted = in_a_row(tmp_path, "rows", limit=1)
    path, _ = run(plan_run(wanted), tiny_base, HFEngine(tiny_base))
    first = choose_passages(read_contexts(wanted.data or ""), 2)
    longer = data_of(tmp_path, novel()[:11])
    assert choose_passages(read_contexts(longer), 2) != first, "the order of a longer file is another"
    with pytest.raises(InputError, match="the 1 sequences are not the first ones"):
        check_submission(path, longer)


def test_passages_that_fill_no_sequence_do_not_make_the_row_fail(tmp_path: Path, tiny_base: BaseModel) -> None:
    wanted = in_a_row(tmp_path, "rows", passages=5, limit=3)
    path, results = run(plan_run(wanted), tiny_base, HFEngine(tiny_base))
    assert results.data.units == 2
    assert "the questions are those of 2 sequences" in " ".join(check_submission(path, wanted.data).made)


def test_a_stopped_sequence_goes_on_behind_its_last_edit(
    tmp_path: Path, tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = in_a_row(tmp_path, "stopped", limit=1, size=3)
    edits, train = [], continual.train

    def watched(base, jobs, progress=None):  # type: ignore[no-untyped-def]
        edits.append(jobs)
        if len(edits) == 3:
            raise KeyboardInterrupt
        return train(base, jobs, progress)

    monkeypatch.setattr(continual, "train", watched)
    with pytest.raises(KeyboardInterrupt):
        run(plan_run(wanted), tiny_base, HFEngine(tiny_base))
    path, results = run(plan_run(wanted), tiny_base, HFEngine(tiny_base))
    assert len(edits) == 4, "the third edit alone was made again"
    assert not list((path.parent / "work").rglob("*.safetensors"))
    _, expected = run(plan_run(replace(wanted, out=tmp_path / "whole")), tiny_base, HFEngine(tiny_base))
    assert (results.curves, results.units) == (expected.curves, expected.units)
    assert results.samples
    assert expected.samples
    assert results.samples.sha256 == expected.samples.sha256


def test_answers_to_other_questions_are_not_used_again(tmp_path: Path, tiny_base: BaseModel) -> None:
    wanted = in_a_row(tmp_path, "rows", limit=1)
    run(plan_run(wanted), tiny_base, HFEngine(tiny_base))
    data = Path(wanted.data or "")
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    for row in rows:
        row["questions"][0]["answer"] = ["something else"]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    path, results = run(plan_run(wanted), tiny_base, HFEngine(tiny_base))
    assert "the questions are those of 1 sequences" in " ".join(check_submission(path, wanted.data).made)
    assert results.samples
    answers = read_samples(path.with_name(results.samples.file), results.samples.sha256)
    assert {sample.golds for sample in answers} == {("something else",)}
    assert not list((path.parent / "work").rglob("*.safetensors"))


def test_a_sequence_that_cannot_be_learnt_is_listed_and_the_others_count(
    tmp_path: Path, tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits, train = [], continual.train

    def failing(base, jobs, progress=None):  # type: ignore[no-untyped-def]
        edits.append(jobs)
        if len(edits) == 2:
            raise TrainingError("the loss is not finite")
        return train(base, jobs, progress)

    monkeypatch.setattr(continual, "train", failing)
    wanted = in_a_row(tmp_path, "rows")
    path, results = run(plan_run(wanted), tiny_base, HFEngine(tiny_base))
    assert results.failures == ["sequence 1, seed 0: the loss is not finite"]
    assert [unit.title for unit in results.units] == ["sequence 2"]
    with pytest.raises(InputError, match="1 of 2 sequences, counted with every seed, could not be measured"):
        check_submission(path, wanted.data)
    again, _ = run(plan_run(wanted), tiny_base, HFEngine(tiny_base))
    assert len(edits) == 4, "what failed is on record"
    path.write_text(path.read_text().replace("sequence 1, seed 0", "sequence 9, seed 0"))
    with pytest.raises(InputError, match="the answers about sequence 1 are missing, and no failure says why"):
        check_submission(again, wanted.data)
