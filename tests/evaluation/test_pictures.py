"""What stands beside the units of a row in its picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench_rows import novel_row, read

from seal_agent.evaluation import pictures
from seal_agent.evaluation.pictures import _base_of, draw_note_curve, draw_run
from seal_agent.evaluation.results import write_results

LONG = {"answer_style": "plain", "epochs": 5, "formats": "implications+self-qa+spa+rewrite", "stop_below_loss": 0.1}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are drawn, which are looked at after they were saved."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    drawn: list[Any] = []
    monkeypatch.setattr(pyplot, "close", drawn.append)
    monkeypatch.setattr(pictures, "_pyplot", lambda: pyplot)
    return drawn


def row_with_notes(folder: Path, notes: int, tokens: float) -> Path:
    """A row whose recipe has a long name."""
    path = novel_row(folder / str(notes), "spa", [notes % 6], figures={"note_tokens": tokens, "seconds_to_train": 9.0})
    row = read(path)
    settings = {**row.recipe.settings, "self_edit": {"per_format": notes}}
    write_results(
        replace(row, recipe=replace(row.recipe, settings=settings, changed=LONG | {"per_format": notes})), path
    )
    return path


def texts_outside(figure: Any) -> list[str]:
    """The title and the texts of the legend that do not lie inside the picture."""
    figure.canvas.draw()
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    texts = [figure._suptitle, *(text for legend in legends for text in legend.get_texts())]
    boxes = {text.get_text(): text.get_window_extent() for text in texts}
    return [text for text, box in boxes.items() if box.x0 < 0 or box.x1 > figure.bbox.x1]


def test_long_names_stay_inside_the_pictures(tmp_path: Path, figures: list[Any]) -> None:
    paths = [row_with_notes(tmp_path, notes, tokens) for notes, tokens in ((1, 150.0), (5, 600.0))]
    draw_run(paths[0])
    draw_note_curve(paths)
    drawn = [figure for figure in figures if figure._suptitle]
    assert len(drawn) == 3
    assert [texts_outside(figure) for figure in drawn] == [[], [], []]


def test_ticks_of_a_narrow_range_are_plain_numbers(tmp_path: Path, figures: list[Any]) -> None:
    draw_note_curve([row_with_notes(tmp_path, notes, tokens) for notes, tokens in ((1, 150.0), (5, 600.0))])
    (figure,) = figures
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["200", "400", "600"]


def test_units_stand_beside_the_same_base_model_alone(tmp_path: Path) -> None:
    base, row = novel_row(tmp_path, "base", [1], mode="base"), novel_row(tmp_path, "default", [4])
    assert set(_base_of(read(row), row).values()) == {1 / 6}
    value = json.loads(base.read_text())
    value["model"]["identity"] = "e" * 64
    base.write_text(json.dumps(value))
    assert _base_of(read(row), row) == {}
