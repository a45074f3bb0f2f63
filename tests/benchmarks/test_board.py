"""The committed rows hold: each fits the schema and its answers, and the site is built from them in seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from seal_agent.errors import InputError
from seal_agent.evaluation.leaderboard.site import build_site, entries_of
from seal_agent.evaluation.results import read_results
from seal_agent.evaluation.submit import check_submission

BOARD = Path(__file__).parents[2] / "benchmarks" / "results" / "board"
ROWS = sorted(BOARD.glob("*.json"))


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_a_committed_row_would_be_accepted(path: Path) -> None:
    results = read_results(path)
    if results.samples is None:
        assert results.run.imported_from, "only rows of older scripts have no answers"
        with pytest.raises(InputError, match="names no file of answers"):
            check_submission(path)
        return
    count = results.samples.count
    assert f"graded again with the same verdicts: {count} answers" in check_submission(path).made


def test_rows_name_their_commit_and_no_path_of_a_machine() -> None:
    for path in ROWS:
        text = path.read_text(encoding="utf-8")
        assert read_results(path).run.commit
        assert "/home/" not in text
        assert "/tmp/" not in text
        assert "/work/" not in text


def test_the_site_is_built_in_under_twenty_seconds(tmp_path: Path) -> None:
    started = time.perf_counter()
    pages = build_site(entries_of([BOARD]), tmp_path)
    assert time.perf_counter() - started < 20
    assert {page.stem for page in pages} >= {"index", "novel_n1", "squad_n1", "arc_toy"}
