"""A journal keeps what was measured, how long it took and on what, and refuses what does not belong together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seal_agent.errors import InputError
from seal_agent.evaluation.journal import Journal, goes_on, keys_in

CPU = {"device": "cpu", "dtype": "float32", "engine": "hf", "processor": "a processor", "gpu": [], "commit": "abc"}


def test_a_journal_keeps_what_was_written_before_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, {"recipe": "default"})
    journal.add("0:a", {"answer": "ä"})
    journal.add("0:b", [1, 2])
    with path.open("ab") as file:
        file.write(b'{"key": "0:c", "val')  # cut off
    again = Journal(path, {"recipe": "default"})
    assert again["0:a"] == {"answer": "ä"}
    assert "0:b" in again
    assert "0:c" not in again
    again.add("0:c", 3)
    assert Journal(path, {"recipe": "default"})["0:c"] == 3


def test_a_journal_of_other_settings_is_refused_by_name(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl", {"recipe": "default", "size": 1})
    with pytest.raises(InputError, match=r"other settings \(size\)"):
        Journal(tmp_path / "journal.jsonl", {"recipe": "default", "size": 2})


def test_rows_that_were_measured_together_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, {}).add_all({"0:a": 1, "0:b": 2})
    whole = path.read_bytes()
    assert set(keys_in(path, {})) == {"0:a", "0:b"}
    path.write_bytes(whole[:-5])
    assert keys_in(path, {}) == frozenset()


def test_seconds_and_makers_are_those_of_the_values_that_were_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, {}, facts=CPU).add("0:a", 1)
    second = Journal(path, {}, facts=CPU | {"commit": "def"})
    second.add_all({"0:b": 2, "0:c": 3})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    seconds = [line["seconds"] for line in lines if "seconds" in line]
    again = Journal(path, {}, facts=CPU | {"commit": "never measured"})
    assert again["0:b"] == 2
    assert again.seconds == pytest.approx(seconds[1] / 2)
    assert [maker["commit"] for maker in again.makers if maker] == ["def"]
    assert again["0:a"] == 1
    assert [maker["commit"] for maker in again.makers if maker] == ["abc", "def"]


@pytest.mark.parametrize("changed", [{"device": "cuda"}, {"dtype": "bfloat16"}, {"engine": "vllm"}, {"processor": "b"}])
def test_what_was_measured_on_other_hardware_is_not_mixed(tmp_path: Path, changed: dict[str, str]) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, {}, facts=CPU).add("0:a", 1)
    assert not goes_on(path, {}, CPU | changed)
    with pytest.raises(InputError, match=rf"other settings \({next(iter(changed))}\)"):
        Journal(path, {}, facts=CPU | changed)
    assert goes_on(path, {}, CPU | {"commit": "def"})


def test_a_journal_of_an_older_version_goes_on_and_does_not_claim_what_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"settings":{"suite":"s"}}\n{"key":"0:a","value":1}\n')
    journal = Journal(path, {"suite": "s", "judge": ["m", "u"]}, facts=CPU)
    journal.add("0:b", 2)
    assert (journal["0:b"], journal.makers, journal.seconds is None) == (2, [CPU], False)
    assert journal["0:a"] == 1
    assert (journal.makers, journal.seconds) == ([None, CPU], None)
    with pytest.raises(InputError, match="judge"):
        Journal(path, {"suite": "s", "judge": ["another", "u"]}, facts=CPU)
