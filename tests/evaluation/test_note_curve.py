"""How much is written, as an axis: several rows of one recipe, their curve, and what the board and pictures draw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")

from bench_rows import novel_row, read

from seal_agent.cli.bench.command import ContestantOptions
from seal_agent.errors import InputError
from seal_agent.evaluation.leaderboard.note_curves import note_curve_svg
from seal_agent.evaluation.leaderboard.site import build_site, entries_of
from seal_agent.evaluation.leaderboard.standings import standings
from seal_agent.evaluation.note_curve import note_curves
from seal_agent.evaluation.pictures import draw_note_curve
from seal_agent.evaluation.results import Results, write_results


def rows(folder: Path, recipe: str = "spa") -> list[Path]:
    """1, 5 and 20 self-edits per format, written in no order."""
    paths = []
    for notes, tokens, right in ((5, 900.0, 4), (1, 200.0, 2), (20, 3100.0, 5)):
        path = novel_row(folder / f"{recipe}-{notes}", recipe, [right], figures={"note_tokens": tokens})
        row = read(path)
        settings = {**row.recipe.settings, "self_edit": {"per_format": notes}}
        facts = replace(row.recipe, settings=settings, changed={"per_format": notes})
        write_results(replace(row, recipe=facts), path)
        paths.append(path)
    return paths


def read_all(paths: list[Path]) -> list[Results]:
    return [read(path) for path in paths]


def test_rows_that_differ_only_in_how_much_was_written_make_a_curve(tmp_path: Path) -> None:
    many = read_all(rows(tmp_path)) + read_all(rows(tmp_path, "implications"))
    many.append(read(novel_row(tmp_path, "default", [6], figures={"note_tokens": 500.0})))
    spa, implications = note_curves(many)
    assert (spa.recipe, implications.recipe) == ("spa", "implications")
    assert [(point.notes, point.tokens) for point in spa.points] == [(1, 200.0), (5, 900.0), (20, 3100.0)]
    assert [point.measure.value for point in spa.points] == pytest.approx([2 / 6, 4 / 6, 5 / 6])


def test_other_changes_and_other_seeds_are_other_curves(tmp_path: Path) -> None:
    first, second, third = read_all(rows(tmp_path))
    more_epochs = replace(second, recipe=replace(second.recipe, changed={"per_format": 1, "epochs": "2"}))
    assert note_curves([first, more_epochs, replace(third, seeds=[0, 1])]) == []


def test_the_board_draws_the_curve_below_the_table(tmp_path: Path) -> None:
    rows(tmp_path / "rows")
    build_site(entries_of([tmp_path / "rows"]), tmp_path / "site")
    page = (tmp_path / "site" / "novel_n1.html").read_text()
    assert "Accuracy against tokens of notes per passage. spa with owner/model: 33.3 per cent at 200 tokens" in page
    assert page.count('class="curve line0"') == page.count('class="band line0"') == 1
    (board,) = standings(entries_of([tmp_path / "rows"]))
    assert note_curve_svg(replace(board, rows=board.rows[:1])) == ""


def test_lines_of_two_models_have_their_names(tmp_path: Path) -> None:
    rows(tmp_path / "one")
    assert "· spa</text>" in note_curve_svg(*standings(entries_of([tmp_path])))
    for path in rows(tmp_path / "two"):
        path.write_text(path.read_text().replace("owner/model", "google/gemma-3-270m").replace("f" * 64, "e" * 64))
    svg = note_curve_svg(*standings(entries_of([tmp_path])))
    assert "20 · spa · gemma-3-270m</text>" in svg
    assert "20 · spa · model</text>" in svg


def test_the_curve_is_drawn_as_a_picture_beside_its_rows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = rows(tmp_path)
    written = draw_note_curve(paths)
    assert [path.suffix for path in written] == [".svg", ".png"]
    assert all(path.stat().st_size > 1000 for path in written)
    assert draw_note_curve(paths[:1]) == []


@pytest.mark.parametrize(("given", "amounts"), [(None, [None]), ("5", [5]), ("1, 5,20", [1, 5, 20])])
def test_several_amounts_are_several_runs(given: str | None, amounts: list[int | None]) -> None:
    options = ContestantOptions(notes=given)
    assert options.amounts() == amounts
    assert options.changes(amounts[-1]) == ({} if given is None else {"per_format": amounts[-1]})


@pytest.mark.parametrize("given", ["0", "1,x", "", "5,5", "-1"])
def test_amounts_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(InputError, match="--notes takes different whole numbers above 0"):
        ContestantOptions(notes=given).amounts()


def test_a_row_without_note_tokens_is_on_no_curve(tmp_path: Path) -> None:
    first, second, _ = read_all(rows(tmp_path))
    bare = json.loads(json.dumps(first.figures)) | {}
    bare.pop("note_tokens")
    assert note_curves([replace(first, figures=bare), second]) == []
