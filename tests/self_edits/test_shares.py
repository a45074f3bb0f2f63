"""Equal shares: every written format gets the same part of what is trained on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from fakes import ScriptedEngine

from seal_agent.adaptation.lesson import write_lessons
from seal_agent.base_model.model import BaseModel
from seal_agent.config import SelfEditConfig, recipe_named
from seal_agent.model import SelfAdaptingModel
from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.formats.registry import SPA_FORMATS
from seal_agent.self_edits.parsing import notes_of, parse
from seal_agent.self_edits.shares import BEYOND, with_equal_shares
from seal_agent.self_edits.writing import write_self_edits_batch
from seal_agent.types import Context, Note, SelfEdit

CONFIG = SelfEditConfig(formats=("implications", "rewrite", "passage"), verify="off")
PASSAGE = [("Tarawa", ["Tarawa has a big lagoon."])]


def count(text: str) -> int:
    return len(text.split())


def lines(number: int) -> str:
    return "\n".join(f"The lagoon of Tarawa has number {i}." for i in range(number))


def words_by_format(edits: tuple[SelfEdit, ...]) -> Counter[str]:
    words: Counter[str] = Counter()
    for edit in edits:
        words[edit.format] += sum(count(note.text) for note in notes_of([edit]))
    return words


def test_what_is_beyond_the_mean_is_dropped_and_what_is_short_is_written_again() -> None:
    said = {"Rewrite": lines(2), "Write down": lines(10)}
    engine = ScriptedEngine(lambda prompt, _: next(text for key, text in said.items() if key in prompt))
    edits = write_self_edits_batch(engine, PASSAGE, CONFIG)
    (balanced,) = with_equal_shares(engine, PASSAGE, edits, CONFIG, count, seed=3)
    words = words_by_format(balanced)
    assert words["implications"] == words["rewrite"] == 6 * 7, "the mean of 10 and 2 notes of 7 words"
    assert len([edit for edit in balanced if edit.format == "rewrite"]) == 3
    dropped = [note for edit in balanced for note in edit.checked or () if not note.kept]
    assert {note.reason for note in dropped} == {BEYOND}
    assert balanced[0] == SelfEdit("passage")


def test_the_rounds_of_one_format_have_seeds_of_their_own() -> None:
    said = {"Rewrite": lines(1), "Write down": lines(9)}
    engine = ScriptedEngine(lambda prompt, _: next(text for key, text in said.items() if key in prompt))
    edits = write_self_edits_batch(engine, PASSAGE, CONFIG)
    with_equal_shares(engine, PASSAGE, edits, CONFIG, count, seed=3)
    seeds = [call.sampling.seed for call in engine.calls]
    assert len(set(seeds)) == len(seeds) == 3


def test_one_format_has_nothing_to_share_with() -> None:
    engine, config = ScriptedEngine(lambda *_: lines(4)), replace(CONFIG, formats=("rewrite",))
    edits = write_self_edits_batch(engine, PASSAGE, config)
    assert with_equal_shares(engine, PASSAGE, edits, config, count) == edits
    assert len(engine.calls) == 1


def test_spa_writes_seven_kinds_of_notes_each_by_a_prompt_of_its_own() -> None:
    config = recipe_named("spa").self_edit
    assert config.formats == SPA_FORMATS
    assert len(set(map(load_prompt, SPA_FORMATS))) == 7
    assert config.equal_shares
    for name in SPA_FORMATS:
        prompt = fill(load_prompt(name), title="Tarawa", context="It has a lagoon.")
        assert "Tarawa" in prompt
        assert "It has a lagoon." in prompt
        assert "{" not in prompt


def test_critical_questions_are_read_as_pairs_and_remarks_without_their_speakers() -> None:
    pair = SelfEdit("critical-qa", completion="Question: Why did she sell?\nAnswer: The mill had burned down.")
    assert parse(pair) == (Note("Why did she sell?", "The mill had burned down."),)
    talk = SelfEdit("discussion", completion="Anna: The mill burned down in 1907.\nDr. Brusk: It was rebuilt by Orr.")
    assert [note.text for note in parse(talk)] == ["The mill burned down in 1907.", "It was rebuilt by Orr."]


def test_lessons_and_proposals_are_written_with_equal_shares(tiny_base: BaseModel, tmp_path: Path) -> None:
    said = {"Rewrite": lines(1), "Write down": lines(7)}
    engine = ScriptedEngine(lambda prompt, _: next(text for key, text in said.items() if key in prompt))
    config, context = replace(CONFIG, equal_shares=True, self_test=0), Context("Tarawa has a lagoon.", "Tarawa")
    (lesson,) = write_lessons(engine, tiny_base, [context], config)
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=engine)
    proposal = model.propose(context, self_edit=config)
    for edits in (lesson.self_edits, proposal.self_edits):
        words = words_by_format(tuple(edits))
        assert len(notes_of([edit for edit in edits if edit.format == "implications"])) == 4, "half of 7 and 1"
        assert words["rewrite"] == 3 * 7, "one note in the first round and in each of two more"
    assert "write until shares are equal" in [stage.name for stage in proposal.stages]
