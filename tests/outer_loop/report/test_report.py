"""What a run says of itself: report, status, figures for a tracker."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seal_agent.errors import InputError, MissingDependency
from seal_agent.outer_loop.archive.facts import describe_machine, flat
from seal_agent.outer_loop.report.interval import estimate, student_estimate, student_quantile
from seal_agent.outer_loop.report.report import write_report
from seal_agent.outer_loop.report.tracking import Tracking, check_tracker, metrics
from seal_agent.outer_loop.rounds import ContextResult, RoundResult
from seal_agent.outer_loop.selection import ScoredEdit
from seal_agent.types import Outcome, Reward, SelfEdit

HOSTILE = "<script>alert(1)</script> | **bold** ```"


def scored(
    text: str, gains: list[float | None], reporting: float = 0.25, form: str = "rewrite", why: str = ""
) -> ScoredEdit:
    outcomes = [Outcome.failed("training", "the loss is nan") if g is None else Outcome(Reward(g, 0.0)) for g in gains]
    return ScoredEdit(
        SelfEdit(form, completion=text), tuple(outcomes), why, (Outcome(Reward(reporting, 0.0)),) * len(gains)
    )


def a_round(number: int = 0, title: str = HOSTILE) -> RoundResult:
    edits = (
        scored("the winning note " + HOSTILE, [0.5, 1.0], reporting=0.5),
        scored("the losing note", [0.0, None], reporting=0.0, form="self-qa"),
        scored("a leak", [1.0, 1.0], why="shares “who lost the keys” with a question"),
    )
    alone = (Outcome(Reward(0.25, 0.0)),)
    other = ContextResult("other", (scored("nothing gained", [0.0, 0.0]),), (), alone, alone, 0.0)
    first = ContextResult(title, edits, (0,), alone, alone, 0.0)
    return RoundResult(number, "", "ab" * 32, (first, other), (2.0, 1.5))


@pytest.fixture
def written(tmp_path: Path) -> tuple[str, str]:
    manifest = {"config": {"outer_loop": {"rounds": 2, "seed": 7}}, "begun": "now", **describe_machine()}
    clock = {(0, "propose"): 4.0, (0, "evaluate"): 61.5, (0, "round"): 0.0}
    paths = write_report(tmp_path, [a_round(), a_round(1)], manifest, clock, {(0, "evaluate"): 3})
    assert [path.name for path in paths] == ["report.md", "report.html"]
    markdown, page = (path.read_text(encoding="utf-8") for path in paths)
    return markdown, page


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "line", "circle", "rect", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_both_reports_say_all_that_a_reader_asks_for(written: tuple[str, str]) -> None:
    for text in written:
        for said in (
            "all, selecting half",
            "kept, reporting half",
            "context alone, selecting",
            "advantage of the kept over the mean",
            "self-qa",
            "the winning note",
            "the losing note",
            "with a question",
            "the loss is nan",
            "61.5",
            "torch",
            "paired by context",
        ):
            assert said in re.sub(r"\\(.)", r"\1", text), said
        assert re.search(r"seed.{1,30}7", text)


def test_the_page_needs_nothing_else_and_takes_no_text_for_markup(written: tuple[str, str]) -> None:
    page = Page(written[1])
    assert page.open == []
    assert page.links == []
    assert "script" not in page.tags
    assert page.tags.count("svg") == 2, "rewards by round, and by format"
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in written[1]


def test_the_markdown_takes_no_text_for_markup(written: tuple[str, str]) -> None:
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", written[0], flags=re.DOTALL | re.MULTILINE)
    assert "<script>" not in outside
    assert "winning note" not in outside, "a self-edit stands in a fence that it cannot close"
    rows = [line for line in outside.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)


def test_a_run_of_rubric_rewards_has_a_report_too(tmp_path: Path) -> None:
    bare = RoundResult(
        0, "", None, (ContextResult("t", (ScoredEdit(SelfEdit("rewrite"), (Outcome(Reward(0.5, 0)),)),)),)
    )
    markdown, _ = write_report(tmp_path, [bare], {}, {}, {})
    assert "context alone" not in markdown.read_text(encoding="utf-8")


@pytest.mark.parametrize(("fresh", "paired"), [(False, True), (True, False)])
def test_rounds_are_paired_only_where_they_have_the_same_contexts(tmp_path: Path, fresh: bool, paired: bool) -> None:
    manifest = {"config": {"outer_loop": {"fresh_contexts": fresh}}}
    markdown, _ = write_report(tmp_path, [a_round(), a_round(1)], manifest, {}, {})
    assert ("paired by context" in markdown.read_text(encoding="utf-8")) is paired, "titles are the same either way"


def test_the_reward_of_puzzles_is_about_the_task_and_not_about_halves_of_questions(tmp_path: Path) -> None:
    markdown, _ = write_report(tmp_path, [a_round()], {"config": {"domain": {"domain": "arc"}}}, {}, {})
    text = markdown.read_text(encoding="utf-8")
    assert "whether an adapter trained by it solves the task" in text
    assert "half of the context's questions" not in text


def test_a_writer_that_collapses_shows_in_the_diversity_of_its_notes(tmp_path: Path) -> None:
    def row_of(*completions: str) -> list[str]:
        scored = tuple(
            ScoredEdit(SelfEdit("rewrite", completion=completion), (Outcome(Reward(0.5, 0)),))
            for completion in completions
        )
        markdown, _ = write_report(tmp_path, [RoundResult(0, "", None, (ContextResult("t", scored),))], {}, {}, {})
        lines = markdown.read_text(encoding="utf-8").splitlines()
        return next(line.split("|")[8:10] for line in lines if line.startswith("| 1 | rewrite"))

    same = "The light on the island is of great importance to all."
    collapsed = row_of(same, same, same)
    diverse = row_of(same, "Odile Brannock built a tower of 43 metres in 1867.", "Grey geese rest there in autumn.")
    assert [float(cell) for cell in collapsed] == [0.33, 1.0]
    assert float(diverse[0]) == 1.0
    assert float(diverse[1]) < 0.2


def test_the_interval_is_that_of_the_mean_and_comes_out_the_same_again() -> None:
    found = estimate([0.0, 0.5, 1.0, 0.5])
    assert found == estimate([0.0, 0.5, 1.0, 0.5])
    assert found
    assert found.mean == 0.5
    assert 0.0 < found.low < 0.5 < found.high < 1.0
    assert estimate([]) is None


def test_students_interval_is_that_of_tables() -> None:
    quantiles = [student_quantile(freedom) for freedom in (1, 2, 4, 8, 23, 100)]
    assert quantiles == pytest.approx([12.706, 4.303, 2.776, 2.306, 2.069, 1.984], abs=1e-3)
    found = student_estimate([0.0, 0.5, 1.0, 0.5])
    assert found
    assert (found.low, found.high) == pytest.approx((0.5 - 3.182 * 0.2041, 0.5 + 3.182 * 0.2041), abs=1e-3)
    alone = student_estimate([0.5])
    assert alone
    assert (alone.mean, alone.low, alone.high) == (0.5, float("-inf"), float("inf"))
    assert student_estimate([]) is None


@pytest.mark.parametrize("passages", [5, 6, 9, 12, 24])
def test_of_two_recipes_that_are_equally_good_hardly_one_looks_better(passages: int) -> None:
    """Five questions a passage; some passages are harder. 2.5 % is nominal, and 3.2 % two standard errors above it."""
    draw = np.random.default_rng(1)
    chance = draw.beta(1.2, 1.2, (2000, passages))
    differences = (draw.binomial(5, chance) - draw.binomial(5, chance)) / 5
    above = [found.low > 0 for row in differences if (found := student_estimate(row.tolist()))]
    assert sum(above) / len(above) <= 0.032


def test_the_machine_and_settings_are_plain_values() -> None:
    about = describe_machine()
    assert about["packages"]["torch"]
    assert about["cores"] >= 1
    assert dict(flat({"a": {"b": 1, "c": [1, 2]}, "d": None})) == {"a.b": 1, "a.c": "1, 2", "d": "None"}


# ---------------------------------------------------------------- trackers


def test_metrics_leave_out_what_a_round_does_not_have() -> None:
    found = metrics(a_round())
    assert found["reward/best"] == 1.0
    assert found["self_edits/rejected"] == 1
    assert found["self_edits/failed_outcomes"] == 1
    assert "votes/entropy" not in found
    assert metrics(replace(a_round(), vote_entropy=0.5))["votes/entropy"] == 0.5


def test_an_unknown_tracker_and_a_missing_one_are_answered_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate import tracking

    with pytest.raises(InputError, match="tensorboard, wandb, trackio"):
        check_tracker("abacus")
    monkeypatch.setattr(tracking, "get_available_trackers", list)
    with pytest.raises(MissingDependency, match="pip install wandb"):
        check_tracker("wandb")


def test_tensorboard_gets_the_figures_of_every_round(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracking = Tracking("tensorboard", tmp_path, {"outer_loop": {"seed": 0, "formats": ["rewrite"]}})
    for number in range(2):
        tracking.log(a_round(number))
    tracking.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [one.step for one in events.Scalars("reward/selecting")] == [0, 1]


def test_the_others_are_told_the_project_and_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate import tracking as accelerates

    class Fake:
        requires_logging_directory = False

        def __init__(self, project: str, name: str) -> None:
            self.said: list[Any] = [project, name]
            fakes.append(self)

        def start(self) -> None: ...

        def store_init_configuration(self, values: dict[str, Any]) -> None:
            self.said.append(values)

        def log(self, values: dict[str, float], step: int) -> None:
            self.said.append(step)

        def finish(self) -> None:
            self.said.append("finished")

    fakes: list[Fake] = []
    monkeypatch.setattr(accelerates, "get_available_trackers", lambda: ["wandb"])
    monkeypatch.setitem(accelerates.LOGGER_TYPE_TO_CLASS, "wandb", Fake)
    tracking = Tracking("wandb", tmp_path / "first", {"seed": 3})
    tracking.log(a_round(1))
    tracking.close()
    assert fakes[0].said == ["seal-agent", "first", {"seed": 3}, 1, "finished"]
