"""What an adapter is trained on, made by rule, by the model, and by a teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fakes import ScriptedEngine
from revisions import revision

from seal_agent.adaptation.adapt import Trainer, Work
from seal_agent.adaptation.distillation import distilled
from seal_agent.adaptation.examples import Example, encode_examples, shortened
from seal_agent.adaptation.lesson import Lesson, job_of, sequences_of
from seal_agent.adaptation.self_test import write_self_tests
from seal_agent.base_model.model import BaseModel
from seal_agent.config import UNPROTECTED, InnerLoopConfig, SelfEditConfig
from seal_agent.errors import InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.lora.adapter import new_adapter
from seal_agent.lora.targets import find_targets
from seal_agent.self_edits.checking import check_self_edits
from seal_agent.self_edits.cues import cues_of
from seal_agent.self_edits.formats.cloze import GAP, cloze_notes
from seal_agent.self_edits.formats.evidence import TRUNCATED_TOKENS, evidence_notes, truncated_cues
from seal_agent.self_edits.formats.sentences import sentence_notes, shuffled_notes
from seal_agent.self_edits.questions import Sentence, ask_and_answer, question_words, sources_of, statements_of
from seal_agent.self_edits.synonyms import synonyms_of
from seal_agent.self_edits.writing import write_self_edits
from seal_agent.text.phrases import phrases_of, sentences_of
from seal_agent.training.jobs import TrainJob
from seal_agent.training.retention.anchors import anchors
from seal_agent.training.sequences import encode_note
from seal_agent.training.train import train
from seal_agent.types import (
    IGNORE_LABEL,
    Answer,
    CheckedNote,
    Context,
    Note,
    Proposal,
    Question,
    Revision,
    SelfEdit,
    TrainingSequence,
    Verdict,
)

PASSAGE = (
    "The ferry to Quarnholt leaves Pier Tibbs at 18:40. Dr. Ottoline Brusk lost forty keys in 1907. Arrive hungry."
)
TITLE = "Quarnholt"


def test_sentences_end_at_full_stops_but_not_at_titles_of_people() -> None:
    assert sentences_of(PASSAGE)[1] == "Dr. Ottoline Brusk lost forty keys in 1907."
    assert [note.text for note in sentence_notes(PASSAGE)] == sentences_of(PASSAGE)[:2]


def test_phrases_are_runs_of_content_words_as_they_stand() -> None:
    assert phrases_of("The grey storks rest in Ossel Marsh, and feed on river crabs until 18:40.") == [
        "grey storks rest",
        "Ossel Marsh",
        "feed",
        "river crabs",
        "18:40",
    ]


def test_every_phrase_is_asked_for_once_by_a_gap_and_filled_in_gives_the_sentence_again() -> None:
    notes = cloze_notes(PASSAGE)
    assert {note.answer for note in notes} == {
        "ferry",
        "Quarnholt leaves Pier Tibbs",
        "18:40",
        "Dr",
        "Ottoline Brusk lost forty keys",
        "1907",
    }
    for note in notes:
        assert note.text.count(GAP) == 1
        assert any(note.text.endswith(s.replace(note.answer or "", GAP, 1)) for s in sentences_of(PASSAGE))


def test_shuffled_orders_hold_the_same_sentences_and_never_the_passage_itself() -> None:
    notes = shuffled_notes(PASSAGE, seed=3)
    assert notes
    assert notes == shuffled_notes(PASSAGE, seed=3)
    for note in notes:
        assert note.text != PASSAGE
        assert sorted(sentences_of(note.text)) == sorted(sentences_of(PASSAGE))
    assert shuffled_notes("Only one sentence here.") == []


# ---------------------------------------------------------------- questions about one sentence


def scripted(question: str, answers: list[str]) -> ScriptedEngine:
    """Asks one question about everything; answers in turn."""
    said = iter(answers * 100)
    return ScriptedEngine(lambda prompt, adapter: question if "Begin it with" in prompt else next(said))


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("When did Ottoline Brusk lose the keys?", "In 1907.", ""),
        ("When did Ottoline Brusk lose the keys?", "In 1911.", "answers with a word that the sentence lacks"),
        ("Who sank the lamp near Bergen?", "Ottoline Brusk.", "asks with words that the sentence lacks"),
        ("Tell me more", "Ottoline Brusk.", "is no question"),
        ("Which keys were lost in 1907?", "The lost keys.", "has its answer in the question"),
        ("Who lost keys?", "", "has no answer"),
    ],
)
def test_a_pair_is_used_only_if_its_sentence_says_so(question: str, answer: str, reason: str) -> None:
    source = Sentence(TITLE, "Dr. Ottoline Brusk lost forty keys in 1907.")
    ((checked,),) = ask_and_answer(scripted(question, [answer]), [source], per_sentence=1)
    assert checked.kept == (not reason)
    assert reason in checked.reason


def test_questions_begin_with_what_the_sentence_can_answer() -> None:
    assert question_words("The mayor, Ottoline Brusk, dropped her keys in 1907.", 3) == ["What", "When", "Who"]
    assert question_words("They keep forty storks.", 2) == ["What", "How many"]
    assert question_words("the city gave a party.", 2) == ["What", "Which"], "-ty does not make a number"
    assert question_words("it rains here often.", 6)[:4] == ["What", "Which", "How", "Why"]


SELF_TESTED = (
    "Anna Tarp painted a barn in red. Bertil repairs the old clocks every day. "
    "Cecil sold the long boats near Pier Tibbs in 1907."
)


def self_test_script(answers: Callable[[str], str]) -> Callable[[str, object], str]:
    """Asks "What did NAME do?" about each sentence, with the question word it is given; answers by the question."""

    def script(prompt: str, adapter: object) -> str:
        name = prompt.split("Sentence: ")[1].split()[0]
        if "Begin it with" in prompt:
            return f"{prompt.rpartition(': ')[2]} did {name} do?"
        return answers(prompt.split("Question: ")[1].split("\n")[0])

    return script


def test_a_self_test_takes_first_questions_of_all_sentences_before_second_ones() -> None:
    said = {"Anna": "barn", "Bertil": "old clocks", "Cecil": "long boats"}
    engine = ScriptedEngine(self_test_script(lambda question: said[question.split()[2]]))
    (test,) = write_self_tests(engine, [(TITLE, [SELF_TESTED])], 4)
    assert len(test) == 4
    assert {q.text.split()[2] for q in test[:3]} == {"Anna", "Bertil", "Cecil"}
    assert all(q.golds == (said[q.text.split()[2]],) for q in test)
    assert write_self_tests(engine, [(TITLE, ["Too short."])], 4) == [()]


@pytest.mark.parametrize(
    ("word", "answer", "kept"),
    [
        ("What", "long boats", True),
        ("What", "ships", False),  # not a phrase of the sentence
        ("Who", "Pier Tibbs", True),
        ("Who", "long boats", False),  # no name
        ("When", "1907", True),
        ("When", "long boats", False),  # no number
    ],
)
def test_a_self_test_is_answered_with_a_phrase_of_the_kind_that_is_asked_for(
    word: str, answer: str, kept: bool
) -> None:
    engine = ScriptedEngine(lambda prompt, adapter: f"{word} did Cecil see?" if "Begin it with" in prompt else answer)
    (test,) = write_self_tests(engine, [("", [SELF_TESTED.rpartition("day. ")[2]])], 1)
    assert [q.golds for q in test] == ([(answer,)] if kept else [])


def test_an_answer_that_changes_when_asked_again_is_no_self_test() -> None:
    said = iter(["long boats", "Pier Tibbs"])
    engine = ScriptedEngine(lambda prompt, adapter: "What did Cecil see?" if "Begin it with" in prompt else next(said))
    assert write_self_tests(engine, [("", [SELF_TESTED.rpartition("day. ")[2]])], 1) == [()]


# ---------------------------------------------------------------- evidence


def test_every_question_about_a_sentence_is_answered_with_that_sentence() -> None:
    sentence = "Dr. Ottoline Brusk lost forty keys near Pier Tibbs in 1907."

    def script(prompt: str, adapter: object) -> str:
        return "In 1822?" if prompt.endswith("When") else "What did Brusk lose?"

    engine = ScriptedEngine(script)
    ((*notes,),) = evidence_notes(engine, [Sentence(TITLE, sentence)], per_sentence=3, cues=3)
    questions, cues = notes[:2], notes[2:]
    assert {n.note.answer for n in notes} == {sentence}
    assert [(n.note.text, n.kept) for n in questions] == [("What did Brusk lose?", True), ("In 1822?", False)]
    assert "1822" in questions[1].reason
    assert cues
    assert all(n.kept for n in cues)


def test_a_short_sentence_is_learnt_by_cues_where_it_says_something() -> None:
    passage = "Mottled Yefflin. Length 31 cm. Builds no nest of its own in any season. By order. How many are there?"
    sources = statements_of("Mottled Yefflin", passage)
    assert [source.sentence for source in sources] == ["Length 31 cm.", "Builds no nest of its own in any season."]
    short, long = evidence_notes(scripted("What does it build?", []), sources, per_sentence=1, cues=2)
    assert "What does it build?" in [checked.note.text for checked in long]
    assert short
    for cue in (checked.note.text for checked in short):
        assert any(word in cue.casefold() for word in ("length", "31", "cm"))
        assert "length 31 cm" not in cue.casefold(), "a cue is not the whole sentence"


def test_cues_are_a_few_of_a_sentences_phrases_and_every_second_one_names_the_title() -> None:
    source = Sentence(TITLE, "The grey geese of Skarholm eat hazelnuts on every bank of the lagoon.")
    phrases = phrases_of(source.sentence)
    cues = [cue for seed in range(20) for cue in cues_of(source, 4, seed)]
    assert cues_of(source, 4, 7) == cues_of(source, 4, 7)
    assert len(set(cues)) > 20
    assert {sum(phrase in cue for phrase in phrases) for cue in cues} == {1, 2, 3}
    assert 0.4 < sum(TITLE in cue for cue in cues) / len(cues) < 0.6
    assert not any("{" in cue for cue in cues)


def test_a_sentence_without_a_usable_question_has_as_many_ways_to_it_as_any() -> None:
    sources = statements_of(TITLE, "Anna painted forty old barns in red in May. Anna lent long brushes to the mayor.")
    engine = scripted("What did Anna paint in May?", [])
    for checked in evidence_notes(engine, sources, per_sentence=3, cues=4):
        assert sum(one.kept for one in checked) == 7
    assert all(len(checked) == 1 for checked in evidence_notes(engine, sources, per_sentence=3, cues=0))


def test_a_cue_asks_for_what_its_sentence_has_and_does_not_give_it_away() -> None:
    def cues(sentence: str) -> list[str]:
        return [cue for seed in range(40) for cue in cues_of(Sentence(TITLE, sentence), 4, seed)]

    plain = cues("The old barns have red doors and green roofs.")
    assert not any(cue.startswith(("Who", "Where", "When", "How many")) for cue in plain)
    counted = cues("The old barns have 12 doors and green roofs.")
    how_many = [cue for cue in counted if cue.startswith("How many")]
    assert 0.4 < len(how_many) / len(counted) < 0.6
    assert not any("12" in cue for cue in how_many)
    assert any("12" in cue for cue in counted)
    named = cues("The old barns of Bertil Tarp have red doors.")
    assert not any("Bertil" in cue for cue in named if cue.startswith(("Who", "Where")))
    assert any("Bertil" in cue for cue in named)


def test_a_cue_has_no_capitals_that_are_no_names_every_time() -> None:
    cues = [cue for seed in range(20) for cue in cues_of(Sentence(TITLE, "Barns cost Anna 40 FLORINS."), 4, seed)]
    assert {word for cue in cues for word in ("FLORINS", "florins", "Barns", "barns") if word in cue} == {
        "FLORINS",
        "florins",
        "Barns",
        "barns",
    }
    assert not any("anna" in cue for cue in cues)


def test_a_cue_does_not_ask_by_the_title_alone_where_a_sentence_says_more() -> None:
    cues = [cue for seed in range(20) for cue in cues_of(Sentence("Skarholm", "Skarholm has forty geese."), 4, seed)]
    for cue in cues:
        assert ("geese" if cue.startswith("How many") else "forty geese") in cue
        assert not (cue.startswith("How many") and "forty" in cue)
    assert all("Skarholm" not in cue for cue in cues_of(Sentence("", "They have forty geese."), 8))
    assert cues_of(Sentence(TITLE, "So it is."), 3) == [], "no phrase, no cue"


def test_openings_lead_to_every_sentence_and_stop_after_its_first_words(tiny_base: BaseModel) -> None:
    sentences = ["Anna paints her old barns in red every spring.", "Bertil repairs the town's clocks on Sundays."]
    sources = [Sentence(TITLE, sentence) for sentence in sentences]
    cues = [note for note, _ in truncated_cues(sources, {"What about Anna?"}, {}, 5, 1, 0)]
    assert len(set(cues)) == len(cues) > 6
    assert {note.answer for note in cues} == set(sentences)
    examples = [Example(TITLE, "", note, tokens=TRUNCATED_TOKENS) for note in cues]
    openings = encode_examples(ScriptedEngine({}), tiny_base, examples)
    learnt = [[label for label in one.labels if label != IGNORE_LABEL] for one in openings]
    assert {len(one) for one in learnt} == {TRUNCATED_TOKENS}
    assert {tuple(one) for one in learnt} == {tuple(tiny_base.tokens(s)[:TRUNCATED_TOKENS]) for s in sentences}
    assert all(one.labels[-TRUNCATED_TOKENS:] == one.input_ids[-TRUNCATED_TOKENS:] for one in openings), (
        "the rest is cut off"
    )


def test_every_epoch_has_openings_of_its_own() -> None:
    source = Sentence(TITLE, "Anna paints her old barns near the mill in red every spring with long brushes.")
    cues = truncated_cues([source], set(), {}, 6, 3, 0)
    of_epoch = [{note.text for note, epoch in cues if epoch == number} for number in range(3)]
    assert all(len(of_one) > 3 for of_one in of_epoch)
    assert len(set.union(*of_epoch)) > max(map(len, of_epoch)), "some of the next epoch are new"


def test_cues_may_use_other_words_and_name_what_is_pointed_back_to() -> None:
    first, second = statements_of(TITLE, "Anna painted buttons in May. They were of brass and plum wood.")
    assert (first.previous, second.previous) == ("", "Anna painted buttons in May.")
    plain = {cue for seed in range(20) for cue in cues_of(second, 4, seed)}
    varied = {cue for seed in range(20) for cue in cues_of(second, 4, seed, {"brass": ("metal",)})}
    assert not any("metal" in cue or "Anna" in cue for cue in plain)
    assert any("metal" in cue for cue in varied)
    assert any("brass" in cue for cue in varied), "not every time"
    assert any("Anna painted buttons" in cue for cue in varied)


def test_synonyms_are_other_words_for_what_is_no_name() -> None:
    said = {"clock": "timepiece, the clocks, to time, Clock, watch tower bell, 12", "quickly": "", "mended": "fixed"}
    engine = ScriptedEngine(lambda prompt, adapter: said[prompt.rpartition("\n")[2].rstrip(":")])
    passages = ["Bertil mended the clock quickly in 1907.", "The clock. It was a toy."]
    assert synonyms_of(engine, passages, 3) == [
        (("mended", ("fixed",)), ("clock", ("timepiece", "time"))),
        (("clock", ("timepiece", "time")),),
    ]
    assert synonyms_of(engine, passages, 1)[1] == (("clock", ("timepiece",)),)
    assert synonyms_of(ScriptedEngine({}), passages, 0) == [(), ()]


def test_every_note_is_learnt_whole_in_turn_and_otherwise_truncated() -> None:
    notes = [Note(f"Prompt {n}?", answer) for answer in ("The first.", "The second.") for n in range(5)]
    others = [Note("A statement."), Note("Who?", "Brusk")]
    examples = [Example(TITLE, PASSAGE, note) for note in [*notes, *others]]
    short = shortened(examples, {"The first.", "The second."}, 2, 3)
    assert [example for example in short if example.note in others] == examples[-2:], "others stay as they are"
    for answer in ("The first.", "The second."):
        of_answer = [example for example in short if example.note and example.note.answer == answer]
        whole = [[e.note for e in of_answer if e.epoch == epoch and e.tokens is None] for epoch in range(3)]
        assert [len(of_epoch) for of_epoch in whole] == [2, 2, 2]
        assert {note for of_epoch in whole for note in of_epoch} == {note for note in notes if note.answer == answer}
        assert all(sum(e.epoch == epoch for e in of_answer) == 5 for epoch in range(3)), "each in every epoch"
    assert shortened(examples, {"The first."}, 0, 3) == shortened(examples, {"The first."}, 5, 3) == examples


def test_what_was_corrected_is_not_replayed(tiny_base: BaseModel) -> None:
    asked = Question("How many weeks of leave does a keeper get?", ("5 weeks",))
    old = "A keeper gets 5 weeks of leave."
    notes = tuple(CheckedNote(Note(*note), True) for note in (("Which leave?", old), ("Who?", "Odile keeps the mill.")))
    first = replace(
        revision("r1"),
        context=Context(f"{old} Odile keeps the mill.", TITLE),
        passages=(f"{old} Odile keeps the mill.", "The mill has 5 weeks of flour."),
        self_edits=(SelfEdit("sentences", checked=notes),),
        after=(Answer(asked, "5 weeks", Verdict.CORRECT),),
    )

    def replayed(new: Context, *between: Revision) -> str:
        proposal = Proposal("a", new, (new.text,), (), None, "base")
        trainer = Trainer(tiny_base, ScriptedEngine({}), LexicalGrader())
        job = trainer._job(Work(proposal, None, (*between, first)), replace(UNPROTECTED, openings=0, replay=9.0))
        return " ".join(tiny_base.tokenizer.decode(sequence.input_ids) for sequence in job.sequences)

    correction = Context("A keeper gets 8 weeks of leave.", TITLE)
    assert old in replayed(Context("Makin is an atoll.", "Makin"))
    kept = replayed(correction)
    assert old not in kept
    assert "Odile keeps the mill." in kept
    assert "5 weeks of flour" in kept
    assert old not in replayed(
        Context("Makin is an atoll.", "Makin"), replace(revision("r2", "r1"), context=correction)
    )


def test_replay_encodes_only_what_it_draws(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    def counted(base: BaseModel, title: str, note: Note) -> TrainingSequence:
        encoded.append(note.text)
        return encode_note(base, title, note)

    monkeypatch.setattr("seal_agent.adaptation.examples.encode_note", counted)
    notes = tuple(CheckedNote(Note(f"Fact number {n} is told here."), True) for n in range(200))
    earlier = Lesson(TITLE, ("Long ago.",), (SelfEdit("sentences", checked=notes),))
    config = replace(UNPROTECTED, openings=0, epochs=2)
    sequences_of(ScriptedEngine({}), tiny_base, Lesson(TITLE, (PASSAGE,), ()), config, [earlier] * 3)
    assert len(encoded) <= 2


def test_evidence_carries_its_synonyms_to_the_openings(tiny_base: BaseModel) -> None:
    def script(prompt: str, adapter: object) -> str:
        return "metal, alloy" if prompt.endswith("brass:") else ""

    engine, passage = ScriptedEngine(script), "Anna painted her buttons of brass in May."
    (edit,) = write_self_edits(engine, TITLE, [passage], SelfEditConfig())
    assert edit.synonyms == (("brass", ("metal", "alloy")),)
    config = replace(UNPROTECTED, openings=20, epochs=1)
    learnt = sequences_of(engine, tiny_base, Lesson(TITLE, (passage,), (edit,)), config)
    assert any("metal" in tiny_base.tokenizer.decode(one.input_ids) for one in learnt)


def test_openings_join_a_lesson_of_sentences_but_not_what_is_learnt_from_a_teacher(tiny_base: BaseModel) -> None:
    sentence = "Anna paints her old barns in red every spring."
    edits = tuple(
        SelfEdit(name, checked=(CheckedNote(Note("Who paints?", sentence), True),))
        for name in ("evidence", "sentence-qa")
    )

    def sequences(edit: SelfEdit, **settings: Any) -> int:
        config = replace(UNPROTECTED, **settings)
        return len(sequences_of(ScriptedEngine(lambda *_: ""), tiny_base, Lesson(TITLE, (sentence,), (edit,)), config))

    assert sequences(edits[0], openings=0) == sequences(edits[1], openings=6) == 2
    assert sequences(edits[0], openings=6) > 4


# ---------------------------------------------------------------- formats


def test_derived_formats_come_checked_and_are_left_alone_by_the_verification() -> None:
    config = SelfEditConfig(formats=("passage", "cloze", "sentences", "sentence-qa", "evidence"))
    engine = scripted("When did Ottoline Brusk lose the keys?", ["In 1907."])
    edits = write_self_edits(engine, TITLE, [PASSAGE], config)
    assert [edit.format for edit in edits] == list(config.formats)
    assert all(edit.checked for edit in edits[1:])
    assert check_self_edits(engine, TITLE, [PASSAGE], edits, "strict") == edits


def test_an_adapter_that_is_continued_learns_at_a_share_of_the_rate(tiny_base: BaseModel) -> None:
    engine, lesson = HFEngine(tiny_base), Lesson(TITLE, (PASSAGE,), ())
    config = replace(UNPROTECTED, learning_rate=4e-3, continued=0.25)
    first = job_of(engine, tiny_base, lesson, config)
    start = new_adapter(tiny_base.module, find_targets(tiny_base.module, ("all",)), 32, 64.0, 0)
    assert first.config.learning_rate == 4e-3
    assert job_of(engine, tiny_base, lesson, config, start=start).config.learning_rate == 1e-3


# ---------------------------------------------------------------- teachers


def test_distilled_answers_carry_what_the_model_expects_with_the_passage_in_view(tiny_base: BaseModel) -> None:
    notes = [Note("Who lost the keys?", "Brusk"), Note("A statement.")]
    encoded = [encode_note(tiny_base, TITLE, note) for note in notes]
    (taught,) = distilled(HFEngine(tiny_base), TITLE, PASSAGE, notes, encoded, weight=0.5)
    assert (taught.input_ids, taught.labels, taught.weight) == (encoded[0].input_ids, encoded[0].labels, 0.5)
    for label, soft in zip(taught.labels, taught.soft_labels, strict=True):
        assert (soft is None) == (label == IGNORE_LABEL)
        assert soft is None or sum(soft.probabilities) == pytest.approx(1)


def test_anchors_hold_an_adapter_near_the_base(tiny_base: BaseModel) -> None:
    """Trained on nothing but what it says already, a model hardly moves: its loss begins at the teacher's entropy."""
    engine = HFEngine(tiny_base)
    kept = anchors(engine, tiny_base, 3)
    assert kept == anchors(engine, tiny_base, 3)
    assert all(s.labels[0] == IGNORE_LABEL and s.soft_labels[0] is None for s in kept)
    (trained,) = train(tiny_base, [TrainJob(tuple(kept), InnerLoopConfig(epochs=4, rank=4, alpha=8))])
    first, last = trained.summary.epoch_losses[0], trained.summary.epoch_losses[-1]
    assert abs(first - last) < 0.25 * first


def test_earlier_lessons_are_replayed_anew_in_every_epoch(tiny_base: BaseModel) -> None:
    notes = tuple(CheckedNote(Note(f"Fact number {n} is told here."), True) for n in range(12))
    earlier = Lesson(TITLE, ("Long ago.",), (SelfEdit("sentences", checked=notes),))
    lesson = Lesson(TITLE, (PASSAGE,), (SelfEdit("sentences", checked=notes[:2]),))
    config = replace(UNPROTECTED, replay=1.0, openings=0, epochs=4)
    sequences = sequences_of(ScriptedEngine({}), tiny_base, lesson, config, [earlier])
    again = [{s.input_ids for s in sequences if s.epoch == epoch} for epoch in range(4)]
    assert [len(of_epoch) for of_epoch in again] == [3] * 4, "one for every new one"
    assert len(set.union(*again)) > 3


def test_a_lesson_is_notes_passage_and_what_the_settings_add(tiny_base: BaseModel) -> None:
    engine, pair, statement = HFEngine(tiny_base), Note("Who?", "Brusk"), Note("Brusk lost it.")
    edit = SelfEdit("sentence-qa", checked=(CheckedNote(pair, True), CheckedNote(statement, True)))
    lesson = Lesson(TITLE, (PASSAGE,), (edit,))
    plain = InnerLoopConfig(anchors=0, replay=0.0)
    counts = {
        name: len(sequences_of(engine, tiny_base, lesson, config, [lesson]))
        for name, config in {
            "sft": plain,
            "distill": replace(plain, objective="distill"),
            "both": replace(plain, objective="both"),
            "replay": replace(plain, replay=1.0),
            "anchors": replace(plain, anchors=2),
        }.items()
    }
    assert plain.epochs == 3, "for each of them three sequences are replayed"
    assert counts == {"sft": 3, "distill": 3, "both": 4, "replay": 12, "anchors": 5}
    held_out = replace(lesson, held_out=(Question("WHO?", ("Brusk",)),))
    assert len(sequences_of(engine, tiny_base, held_out, plain)) == 2


def test_a_note_about_two_passages_is_learnt_once(tiny_base: BaseModel) -> None:
    same = CheckedNote(Note("Brusk lost it."), True)
    edits = tuple(SelfEdit("sentences", part=part, checked=(same,)) for part in range(2))
    lesson = Lesson(TITLE, (PASSAGE, "Another passage."), edits)
    assert len(sequences_of(HFEngine(tiny_base), tiny_base, lesson, InnerLoopConfig(anchors=0))) == 3


@pytest.mark.parametrize(
    "wrong", [{"objective": "magic"}, {"anchors": -1}, {"anchor_weight": 0.0}, {"max_update": 0.0}, {"replay": -0.5}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        InnerLoopConfig(**wrong)  # type: ignore[arg-type]


def test_a_question_in_a_text_is_no_sentence_that_answers() -> None:
    said = "When does the ticket office close? The ticket office closes at 16:10. Why?"
    assert [source.sentence for source in sources_of("", said)] == ["The ticket office closes at 16:10."]
