"""Pictures in a run's report: of tasks of ARC with what the best self-edits' adapters answered."""

from __future__ import annotations

import re
import sys
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import outer_loop_fakes
import pytest
from command_line import Call, caller
from outer_loop_fakes import TINY
from PIL import Image
from PIL.ImageColor import getrgb

from seal_agent.arc.grids import Grid, format_grid
from seal_agent.arc.picture import RIGHT, WRONG
from seal_agent.arc.text import BLANK_LINE
from seal_agent.arc.toy import toy_tasks
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ARC_INNER_LOOPS, ArcConfig, OuterLoopConfig
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.domains.arc import ArcDomain, Measure, Puzzle
from seal_agent.outer_loop.domains.domain import DrawableDomain
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.learn import RunResult, learn, settings
from seal_agent.outer_loop.report.blocks import Paragraph, Picture
from seal_agent.outer_loop.report.pictures import MAX_PICTURES, pictures
from seal_agent.outer_loop.rewards.reward import QuestionReward
from seal_agent.outer_loop.rounds import ContextResult
from seal_agent.outer_loop.selection import ScoredEdit
from seal_agent.outer_loop.units import Case, CaseAnswers, CaseResult, Trial, TrialResult, Unit, UnitResult, Worker
from seal_agent.types import Answer, Outcome, Question, Reward, SelfEdit, Verdict

TASKS = toy_tasks(3)
SMALL = ArcConfig(max_sequences=4, views=2)
CONFIG = OuterLoopConfig(
    rounds=1, contexts=2, edits=2, seeds=1, inner_loop=ARC_INNER_LOOPS["default"], policy=TINY, contexts_per_unit=1
)
MARKS = {getrgb(RIGHT): "right", getrgb(WRONG): "wrong"}


@pytest.fixture
def seal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs `seal …` in this process, with a store of its own."""
    return caller(monkeypatch, capsys, tmp_path / "home")


def run_of(base: BaseModel, folder: Path, measure: Measure = "solved") -> RunResult:
    """A whole run: one round, two tasks, two self-edits each."""
    worker, domain = Worker(base, HFEngine(base), LexicalGrader()), ArcDomain(TASKS, SMALL, measure)
    reward = QuestionReward()
    run = Run(folder, settings(base, domain, reward, CONFIG), {})
    try:
        return learn(domain, reward, CONFIG, worker=worker, executor=InlineExecutor(worker), run=run)
    finally:
        run.close()


class Images(HTMLParser):
    """The (alt, decoded picture) of every image of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, bytes]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            head, _, data = (values["src"] or "").partition(",")
            assert head == "data:image/png;base64"
            self.found.append((values["alt"] or "", b64decode(data, validate=True)))


def links(markdown: Path) -> list[tuple[str, Path]]:
    """The (alt, file) of every picture of a report."""
    text = markdown.read_text(encoding="utf-8")
    return [
        (re.sub(r"\\(.)", r"\1", alt), markdown.parent / file) for alt, file in re.findall(r"!\[(.*)\]\((.*)\)", text)
    ]


def marks(png: bytes) -> set[str]:
    """Which marks are drawn."""
    image = Image.open(BytesIO(png))
    assert image.format == "PNG"
    colours = image.convert("RGB").getcolors(maxcolors=1 << 24)
    return {MARKS[colour] for _, colour in colours if colour in MARKS}


# ---------------------------------------------------------------- whole runs


@pytest.mark.parametrize("measure", ["solved", "cells"])
def test_a_runs_report_shows_its_tasks_with_attempts(tiny_base: BaseModel, tmp_path: Path, measure: Measure) -> None:
    learnt = run_of(tiny_base, tmp_path, measure)
    titles = [context.title for context in learnt.results[-1].contexts]
    shown = Images(learnt.html).found
    assert [alt for alt, _ in shown] == [f"{title}: not solved" for title in titles]
    assert [marks(png) for _, png in shown] == [{"wrong"}, {"wrong"}], "a random model solves nothing"
    assert [(alt, file.read_bytes()) for alt, file in links(learnt.markdown)] == shown


def test_a_second_start_changes_nothing(tiny_base: BaseModel, tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in tmp_path.rglob("*") if file.suffix in (".md", ".html", ".png")}

    first, written = run_of(tiny_base, tmp_path), files()
    assert len(written) == 2 + CONFIG.contexts
    assert run_of(tiny_base, tmp_path) == first
    assert files() == written


def test_pictures_are_made_of_what_is_on_file(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[str] = []

    def counted(unit: Unit[Puzzle], worker: Worker) -> UnitResult:
        evaluated.append(unit.key)
        return evaluate(unit, worker)

    evaluate = ArcDomain.evaluate
    monkeypatch.setattr(ArcDomain, "evaluate", staticmethod(counted))
    assert links(run_of(tiny_base, tmp_path).markdown)
    assert len(evaluated) == len(set(evaluated)) == 2 * CONFIG.contexts, "each task alone, and with its self-edits"


def test_the_command_runs_end_to_end_and_again(
    seal: Call, tiny_base: BaseModel, save_model: Callable[[BaseModel, Path], Path], tmp_path: Path
) -> None:
    def train() -> object:
        sizes = ("--contexts", 2, "--edits", 2, "--seeds", 1, "--rounds", 1, "--device", "cpu", "--dtype", "float32")
        ran = seal("train", "--arc", "toy", "--run", tmp_path / "run", "--model", model, *sizes, "--json")
        assert ran.code == 0, ran.err
        return ran.json

    model = save_model(tiny_base, tmp_path / "model")
    first = train()
    written = [(alt, file.read_bytes()) for alt, file in links(tmp_path / "run" / "report.md")]
    assert Images(tmp_path / "run" / "report.html").found == written
    assert len(written) == 2
    assert train() == first
    assert [(alt, file.read_bytes()) for alt, file in links(tmp_path / "run" / "report.md")] == written


def test_without_pillow_the_report_says_how_to_get_pictures(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    learnt = run_of(tiny_base, tmp_path)
    assert "pip install 'seal-agent[arc]'" in re.sub(r"\\(.)", r"\1", learnt.markdown.read_text(encoding="utf-8"))
    assert Images(learnt.html).found == []
    assert not (tmp_path / "pictures").exists()


def test_passages_have_no_pictures() -> None:
    assert not isinstance(outer_loop_fakes.domain(), DrawableDomain)


# ---------------------------------------------------------------- one picture


@pytest.mark.parametrize("measure", ["solved", "cells"])
def test_a_task_is_drawn_with_what_was_answered(measure: Measure) -> None:
    task = TASKS[1]
    gold = task.test[0].output
    other = Grid.of([[(cell + 1) % 10 for cell in row] for row in gold.rows])
    domain = ArcDomain((task,), SMALL, measure)
    (case,) = domain.cases(no_worker(), [task], 0)

    def drawn(*grids: Grid) -> set[str]:
        if measure == "solved":
            texts = [BLANK_LINE.join(format_grid(grid, SMALL.style) for grid in grids)]
        else:
            texts = [str(cell) for row in grids[0].rows for cell in row] if grids else [""] * len(case.selecting)
        return marks(domain.picture(case, said(case, texts)))

    assert drawn(gold) == {"right"}
    assert drawn(other) == {"wrong"}
    assert drawn(gold, other) == ({"right", "wrong"} if measure == "solved" else {"right"})
    assert drawn() == {"wrong"}, "nothing that is a grid"
    assert marks(domain.picture(case, None)) == set()


def no_worker() -> Worker:
    """Cases of ARC are not made by a model."""
    return None  # type: ignore[return-value]


def said(case: Case[Puzzle], texts: list[str]) -> CaseAnswers:
    verdicts = (
        Verdict.CORRECT if text in q.golds else Verdict.WRONG for q, text in zip(case.selecting, texts, strict=True)
    )
    return CaseAnswers(tuple(Answer(q, t, v) for q, t, v in zip(case.selecting, texts, verdicts, strict=True)))


# ---------------------------------------------------------------- which are shown


class Words:
    """A domain whose pictures are what was said."""

    def picture(self, case: Case[str], answers: CaseAnswers | None) -> bytes:
        return answers.selecting[0].text.encode() if answers else b"nobody"


def trial_saying(text: str, right: bool = False) -> TrialResult:
    verdict = Verdict.CORRECT if right else Verdict.WRONG
    return TrialResult(Trial(SelfEdit("f"), 0), CaseAnswers((Answer(Question("?", ("!",)), text, verdict),)))


def scored(name: str, *gains: float) -> ScoredEdit:
    return ScoredEdit(SelfEdit("f", completion=name), tuple(Outcome(Reward(gain, 0.0)) for gain in gains))


def shown(context: ContextResult, *tried: TrialResult) -> Picture:
    result = CaseResult(CaseAnswers(()), tried)
    _, picture = pictures(Words(), [Case("", context.title, ())], [context], [result]).blocks
    assert isinstance(picture, Picture)
    return picture


def test_the_best_adapter_of_the_kept_self_edit_is_shown() -> None:
    said = [trial_saying("a0"), trial_saying("a1"), trial_saying("b0"), trial_saying("b1", right=True)]
    edits = scored("a", 0.5, 1.0), scored("b", 0.0, 1.0)
    kept = shown(ContextResult("t", edits, kept=(1,)), *said)
    assert (kept.png, kept.alt) == (b"b1", "t: solved")
    assert kept.caption == "t: solved · kept · reward +0.500"
    none_kept = shown(ContextResult("t", edits), *said)
    assert (none_kept.png, none_kept.alt) == (b"a1", "t: not solved")
    assert "not kept" in none_kept.caption


def test_a_context_whose_adapters_all_failed_is_shown_without_answers() -> None:
    failed = ScoredEdit(SelfEdit("f"), (Outcome.failed("training", "the loss is nan"),))
    picture = shown(ContextResult("t", (failed,)), TrialResult(Trial(failed.edit, 0), None, "the loss is nan"))
    assert (picture.png, picture.alt) == (b"nobody", "t: not solved")


def test_only_the_first_contexts_are_shown() -> None:
    many = MAX_PICTURES + 2
    contexts = [ContextResult(str(number), (scored("a", 1.0),)) for number in range(many)]
    cases = [Case("", context.title, ()) for context in contexts]
    tried = [CaseResult(CaseAnswers(()), (trial_saying("x"),))] * many
    first, *rest = pictures(Words(), cases, contexts, tried).blocks
    assert isinstance(first, Paragraph)
    assert [one.file for one in rest if isinstance(one, Picture)] == [
        f"pictures/{n}.png" for n in range(1, MAX_PICTURES + 1)
    ]
