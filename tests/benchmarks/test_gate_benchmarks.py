"""benchmarks/gate.py and in_a_row.py: real parts on a tiny model; they resume, and bounds are fitted as stated."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fakes import ScriptedEngine

from seal_agent import model as model_module
from seal_agent.adaptation.adapt import Trainer
from seal_agent.adaptation.gate import checks
from seal_agent.adaptation.gate.measure import Candidate, Measured
from seal_agent.answering.questions import GradedReply
from seal_agent.base_model.model import BaseModel
from seal_agent.config import GateConfig
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Answer, CheckedNote, Context, Note, Proposal, Question, SelfEdit, Verdict

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RECIPE = """
extends = "paper"
[self_edit]
formats = ["cloze"]
self_test = 2
[inner_loop]
rank = 2
alpha = 4.0
epochs = 1
batch_size = 8
"""


@pytest.fixture
def load_benchmark(monkeypatch: pytest.MonkeyPatch, tiny_base: BaseModel) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a benchmark, whose model is tiny and says what a script says."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    loaded: list[str] = []

    def load(name: str) -> ModuleType:
        __import__(name)
        loaded.append(name)
        module = sys.modules[name]
        monkeypatch.setattr(module, "load_model", lambda *_: tiny_base)
        return module

    monkeypatch.setattr(model_module, "HFEngine", lambda base: ScriptedEngine(script))
    yield load
    for name in [*loaded, *(name for name in sys.modules if name.partition(".")[0] == "parts")]:
        sys.modules.pop(name, None)


def script(prompt: str, adapter: LoraAdapter | None) -> str:
    """Asks about every sentence; whoever learnt anything answers with a word of every sentence."""
    if "Begin it with" in prompt:
        return f"{prompt.rpartition(': ')[2]} is it about?"
    return "The tower stands in the market." if adapter or "Sentence:" in prompt else "nobody knows"


def call(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    module.main()


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


# ---------------------------------------------------------------- the calibration


def test_every_unit_is_saved_with_what_was_measured_and_a_stopped_run_goes_on(
    load_benchmark: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, recipe: Path, tmp_path: Path
) -> None:
    gate, out = load_benchmark("gate"), tmp_path / "gate.json"
    options = ("--recipe", recipe, "--out", out, "--passages", 3, "--bad", 3)
    call(gate, monkeypatch, *options, "--poisoned", 0)
    rows = json.loads(out.read_text())["rows"]
    kinds = ["good", "shuffled answers", "good", "another passage's notes", "good", "rate x 10"]
    assert [row["kind"] for row in rows] == kinds
    for row in rows:
        assert set(row["figures"]) == {"gains", "facts_changed", *sys.modules["parts.gate_fit"].FIGURES}
        assert row["figures"]["drift"] >= 0
        assert row["state"] in ("active", "rejected")
        assert (row["right"] is not None) == (row["kind"] == "good")
    measured: list[str] = []
    real = gate._measure
    monkeypatch.setattr(gate, "_measure", lambda model, unit, *rest: measured.append(unit) or real(model, unit, *rest))
    call(gate, monkeypatch, *options, "--poisoned", 1)
    assert measured == ["poison 0"]
    again = json.loads(out.read_text())
    assert again["rows"][:6] == rows
    assert again["summary"]["kinds"]["poisoned document"]["n"] == 1


def test_a_training_that_fails_is_a_row_and_never_active(
    load_benchmark: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, recipe: Path, tmp_path: Path
) -> None:
    gate, out = load_benchmark("gate"), tmp_path / "gate.json"
    recipe.write_text(RECIPE.replace("epochs = 1", "epochs = 3") + "learning_rate = 1e38\n")
    call(gate, monkeypatch, "--recipe", recipe, "--out", out, "--passages", 1, "--poisoned", 0)
    (row,) = json.loads(out.read_text())["rows"]
    assert (row["state"], row["figures"]) == ("failed", None)
    assert "learning_rate" in row["reason"]
    assert sys.modules["parts.gate_fit"].rejected(row, GateConfig())


def test_shuffled_answers_answer_other_sentences_and_no_truncated_cue_teaches_the_right_one(
    load_benchmark: Callable[[str], ModuleType],
) -> None:
    gate = load_benchmark("gate")
    notes = [Note(f"What is {i}?", f"Sentence {i // 3}.") for i in range(9)]
    edit = SelfEdit("evidence", checked=tuple(CheckedNote(note, True) for note in notes))
    proposal = Proposal("default", Context("Text.", "T"), ("Text.",), (edit,), None, "b")
    inner_loop = gate.recipe_named("default").inner_loop
    case = gate._bad(None, "shuffled answers", proposal, Context("Other."), gate.recipe_named("default"), inner_loop)
    checked = case.proposal.self_edits[0].checked or ()
    assert all(new.note.answer != old.answer for new, old in zip(checked, notes, strict=True))
    assert sorted(str(new.note.answer) for new in checked) == sorted(str(old.answer) for old in notes)
    assert case.config.openings == 0


def row(kind: str, unit: str, gains: list[int] | None = None, **figures: float) -> dict[str, Any]:
    zero = {"guard_lost": 0.0, "guard_lost_in_all": 0.0, "perplexity": 0.0, "drift": 0.0, "facts_changed": None}
    known = {"gains": [1, 1, 1, 0, 0, 0] if gains is None else gains, **zero, **figures}
    return {"kind": kind, "unit": unit, "figures": known, "state": "active", "share": 1.0}


@pytest.fixture
def measured_rows() -> list[dict[str, Any]]:
    """Good ones drift by at most 0.1 and raise perplexity by at most 0.05; bad ones do not learn, drift or harm."""
    good = [row("good", f"passage {i}", drift=0.002 * i, perplexity=0.001 * i, guard_lost=0.05) for i in range(50)]
    bad = [row("shuffled answers", f"passage {i}", gains=[0] * 6) for i in range(20)]
    bad += [row("rate x 10", f"passage {i}", drift=0.5 + 0.01 * (i - 20)) for i in range(20, 40)]
    return good + bad + [row("another", f"passage {i}", perplexity=0.3) for i in range(40, 50)]


def test_fitted_bounds_reach_the_criterion_and_leave_room(
    load_benchmark: Callable[[str], ModuleType], measured_rows: list[dict[str, Any]]
) -> None:
    load_benchmark("gate")
    fit = sys.modules["parts.gate_fit"]
    loose = replace(GateConfig(), max_drift=0.6, max_perplexity=0.4)
    assert fit.rates(measured_rows, loose).bad < 0.9
    fitted = fit.fit(measured_rows, loose)
    assert fit.rates(measured_rows, fitted) == fit.Rates(bad=1.0, good=0.0)
    assert 0.098 < fitted.max_drift < 0.5
    assert 0.049 < fitted.max_perplexity < 0.3
    assert fitted.max_drift == pytest.approx((0.098 + 0.5) / 2), "halfway to the next figure"
    assert fitted.max_guard_lost == pytest.approx(1.25 * 0.05), "room where nothing larger was measured"
    assert all(fit.cross_validated(measured_rows, loose)[i] == (i >= 50) for i in range(100))


def test_a_criterion_out_of_reach_is_said_to_be(
    load_benchmark: Callable[[str], ModuleType],
    measured_rows: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load_benchmark("gate")
    fit = sys.modules["parts.gate_fit"]
    hidden = [row("poisoned document", f"poison {i}") for i in range(30)]
    fit.report(measured_rows + hidden, GateConfig(), tmp_path / "gate.json")
    printed = capsys.readouterr().out
    assert "no bounds reach the criterion" in printed
    assert "| poisoned document | 30 | 0% | 0% | 0% (0%–11%) |" in printed
    assert json.loads((tmp_path / "gate_fit.json").read_text())["reached"] is False
    fit.report(measured_rows, GateConfig(), tmp_path / "gate.json")
    assert "the criterion is reached" in capsys.readouterr().out


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("wrong", [0, 1, 3])
@pytest.mark.parametrize(("perplexity", "drift"), [(10.5, 0.1), (14.0, 0.1), (10.5, 0.4)])
def test_what_is_rejected_offline_is_what_the_gate_rejects(
    load_benchmark: Callable[[str], ModuleType], known: bool, wrong: int, perplexity: float, drift: float
) -> None:
    load_benchmark("gate")
    fit, gate = sys.modules["parts.gate_fit"], GateConfig()
    questions = [Question(f"What is {i}?", ("x",)) for i in range(8)]
    guard = tuple(Answer(q, "x", Verdict.WRONG if i < wrong else Verdict.CORRECT) for i, q in enumerate(questions))
    names = frozenset(question.text for question in questions)
    measured = Measured(
        guard=guard,
        own=(questions[7],),
        known_to_parent=names,
        perplexity=perplexity,
        base_perplexity=10.0,
        drift=drift,
    )
    asked = Question("Who?", ("Lee",))
    before = GradedReply(Answer(asked, "Poe", Verdict.WRONG), Verdict.WRONG)
    after = GradedReply(Answer(asked, "Lee", Verdict.CORRECT), Verdict.CORRECT) if known else before
    candidate = Candidate(
        Context("T", "", (asked,) * 6), LoraAdapter(1, 1.0, {}), None, (), (before,) * 6, (after,) * 6
    )
    found = [checks.learned(candidate, gate), *checks.harmless(measured, gate)]
    figures = {"figures": fit.figures_of(candidate, measured)}
    assert fit.rejected(figures, gate) == any(check.passed is False for check in found)


def test_rows_of_every_unit_number_have_all_kinds_early(load_benchmark: Callable[[str], ModuleType]) -> None:
    units = load_benchmark("gate")._units(60, 15)
    assert len(units) == len(set(units)) == 75
    assert sum(unit.startswith("poison") for unit in units[:20]) == 4


# ---------------------------------------------------------------- thirty in a row


def test_passages_in_a_row_are_saved_step_by_step_and_go_on(
    load_benchmark: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, recipe: Path, tmp_path: Path
) -> None:
    in_a_row, out = load_benchmark("in_a_row"), tmp_path / "row.json"
    options = ("--recipe", recipe, "--out", out, "--work", tmp_path / "work", "--every", 2)
    call(in_a_row, monkeypatch, *options, "--passages", 2)
    first = json.loads(out.read_text())
    assert [len(row["right"]) for row in first["rows"]] == [1, 2]
    assert len(first["base"]) == 2
    call(in_a_row, monkeypatch, *options, "--passages", 3)
    body = json.loads(out.read_text())
    assert body["rows"][:2] == first["rows"]
    assert [row["step"] for row in body["rows"]] == [0, 1, 2]
    assert None not in body["rows"][2]["right"], "the last step asks about all"
    assert body["base"][:2] == first["base"]
    assert body["summary"]["steps"] == 3
    (store,) = (tmp_path / "work").iterdir()

    call(in_a_row, monkeypatch, *options, "--passages", 1, "--no-gate")
    without = json.loads((tmp_path / "row_no_gate.json").read_text())
    assert without["rows"][0]["state"] == "active"
    assert without["rows"][0]["gate_seconds"] == 0
    assert len(list((tmp_path / "work").iterdir())) == 2, "another gate, another store"
    assert store.is_dir()


def test_a_step_that_was_learnt_before_a_kill_is_not_learnt_again(
    load_benchmark: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, recipe: Path, tmp_path: Path
) -> None:
    in_a_row, out = load_benchmark("in_a_row"), tmp_path / "row.json"
    options = ("--recipe", recipe, "--out", out, "--work", tmp_path / "work", "--passages", 1, "--no-gate")
    call(in_a_row, monkeypatch, *options)
    (tmp_path / "row_no_gate.json").unlink()
    trained: list[object] = []
    monkeypatch.setattr(Trainer, "train_each", lambda *a: trained.append(a))
    call(in_a_row, monkeypatch, *options)
    assert trained == []
    assert json.loads((tmp_path / "row_no_gate.json").read_text())["rows"][0]["seconds"] > 0
