"""Cues, questions and notes in languages other than English."""

from __future__ import annotations

import re

import pytest
from fakes import ScriptedEngine

from seal_agent.adaptation.self_test import write_self_tests
from seal_agent.data.bundled import novel
from seal_agent.prompts import load_prompt
from seal_agent.self_edits.cues import cues_of
from seal_agent.self_edits.formats.cloze import GAP, cloze_notes
from seal_agent.self_edits.formats.evidence import evidence_notes
from seal_agent.self_edits.formats.sentences import sentence_notes
from seal_agent.self_edits.parsing import parse
from seal_agent.self_edits.question_words import describe_languages, localized, question_words_of
from seal_agent.self_edits.questions import Sentence, ask, ask_and_answer, question_flaw, question_words, statements_of
from seal_agent.self_edits.synonyms import LANGUAGES, synonyms_of
from seal_agent.types import Note, SelfEdit

PASSAGES = {
    "de": (
        "Mühle",
        "Die alte Mühle von Brennick wurde 1782 von dem Zimmermann Jonas Feld gebaut. Sie hat vier Flügel.",
    ),
    "fr": (
        "Moulin",
        "Le vieux moulin de Brennick fut construit en 1782 par le charpentier Jonas Feld. Il a quatre ailes.",
    ),
    "es": (
        "Molino",
        "El viejo molino lo construyó en 1782 el carpintero Jonas Feld. Este tiene cuatro aspas de madera.",
    ),
    "ru": ("Мельница", "Старую мельницу построил в 1782 году плотник Йонас Фельд. Она имеет четыре крыла."),
    "zh": ("磨坊", "布伦尼克的老磨坊由木匠约纳斯于1782年建造。它有四个绿色的叶片。"),
    "el": ("Μύλος", "Τον παλιό μύλο έχτισε το 1782 ο ξυλουργός Γιόνας Φελντ. Έχει τέσσερα πράσινα φτερά."),
    "hi": ("चक्की", "पुरानी चक्की १७८२ में बढ़ई जोनास ने बनाई थी। इसके चार हरे पंख हैं।"),
    "ar": ("الطاحونة", "بنى النجار يوناس الطاحونة القديمة في عام 1782. لها أربعة أجنحة خضراء كبيرة."),
    "he": ("הטחנה", "הנגר יונס בנה את הטחנה הישנה בשנת 1782. יש לה ארבע כנפיים ירוקות."),
    "ja": ("風車", "ブレニックの古い風車は1782年に大工のヨナスが建てました。羽根は緑色です。"),
    "ko": ("방앗간", "브레닉의 오래된 방앗간은 1782년에 목수 요나스가 지었다. 날개는 네 개이고 초록색이다."),
    "th": ("กังหัน", "กังหันเก่าสร้างในปี 1782 โดยช่างไม้โยนาส ใบพัดของมันเป็นสีเขียวทั้งหมด"),
    "pl": ("Młyn", "Stary młyn w Brennick zbudował w 1782 roku cieśla Jonas Feld. Ma on cztery zielone skrzydła."),
}
WITH_TABLES = ("de", "fr", "es", "ru", "zh")


@pytest.mark.parametrize("language", PASSAGES)
def test_cues_are_made_in_every_script(language: str) -> None:
    title, passage = PASSAGES[language]
    sources = statements_of(title, passage)
    assert {source.language for source in sources} == {language}
    assert len(sources) == 2
    for source in sources:
        cues = [cue for seed in range(10) for cue in cues_of(source, 4, seed, {})]
        assert len(set(cues)) >= 4, cues
        assert not any("{" in cue for cue in cues)
        assert not any(re.match(r"(?:What|Who|Where|When|How|Why|Which|Tell|In)\b", cue) for cue in cues)
        assert any(title in cue for cue in cues)


@pytest.mark.parametrize("language", WITH_TABLES)
def test_a_language_with_a_table_asks_in_its_own_words(language: str) -> None:
    title, passage = PASSAGES[language]
    first = statements_of(title, passage)[0]
    table = question_words_of(language)
    assert table
    words = question_words(first.sentence, 6, language)
    assert words[0] == table.what
    assert table.when in words
    cues = [cue for seed in range(40) for cue in cues_of(first, 4, seed)]
    asking_when = [cue for cue in cues if cue.startswith(table.when)]
    assert asking_when
    assert not any("1782" in cue for cue in asking_when)
    engine = ScriptedEngine(lambda prompt, adapter: "?")
    ask(engine, [first], 2)
    assert all("Write a question" not in str(call.prompts) for call in engine.calls)
    assert first.sentence in str(engine.calls[0].prompts)


def test_a_sentence_that_refers_back_knows_the_one_before_it() -> None:
    for language in WITH_TABLES:
        assert statements_of(*PASSAGES[language])[1].previous, language


@pytest.mark.parametrize("language", ["el", "hi", "ar", "th", "pl"])
def test_a_language_without_a_table_gets_more_cues_instead_of_questions(language: str) -> None:
    engine = ScriptedEngine({})
    notes = evidence_notes(engine, statements_of(*PASSAGES[language]), per_sentence=2, cues=2)
    assert engine.calls == []
    for of_sentence in notes:
        assert len(of_sentence) == 4
        assert all(checked.kept for checked in of_sentence)


def test_questions_in_other_languages_are_checked_by_their_words() -> None:
    german = statements_of(*PASSAGES["de"])[0]
    assert question_flaw(german, "Wer baute die alte Mühle von Brennick?") == ""
    assert question_flaw(german, "Welche Pferde fressen im Stall?") != ""
    chinese = statements_of(*PASSAGES["zh"])[0]
    assert question_flaw(chinese, "布伦尼克的老磨坊是谁建造的？") == ""
    assert question_flaw(chinese, "北京有几个火车站？") != ""
    assert question_flaw(chinese, "老磨坊") == "is no question"


@pytest.mark.parametrize("language", PASSAGES)
def test_gaps_are_made_in_every_script(language: str) -> None:
    notes = cloze_notes(PASSAGES[language][1])
    assert len(notes) >= 3
    assert all(note.answer and GAP in note.text for note in notes)


def test_chinese_and_german_notes_are_read() -> None:
    assert [note.text for note in parse(SelfEdit("implications", "", "1、塔拉瓦是首都。\n2、巴纳巴很小。"))] == [
        "塔拉瓦是首都。",
        "巴纳巴很小。",
    ]
    assert parse(
        SelfEdit("self-qa", "", "Frage: Wo liegt Tarawa?\nAntwort: Im Pazifik.\n问题：首都在哪里？\n答案：塔拉瓦")
    ) == (
        Note("Wo liegt Tarawa?", "Im Pazifik."),
        Note("首都在哪里？", "塔拉瓦"),
    )


def test_synonyms_are_asked_for_in_the_passages_language_or_not_at_all() -> None:
    engine = ScriptedEngine(lambda prompt, adapter: "rasch, flink")
    (of_german, of_hindi) = synonyms_of(engine, [novel("de")[0].text, PASSAGES["hi"][1]], 2)
    assert of_german
    assert of_hindi == ()
    assert all("Synonyme:" in str(prompt) for call in engine.calls for prompt in call.prompts)
    for language in LANGUAGES:
        assert "{word}" in load_prompt(localized("synonyms", language))


def test_which_languages_were_used_is_said() -> None:
    assert describe_languages(["en", "en"], asked=True) == ""
    assert describe_languages(["en", "de", "de", "el"], asked=True) == (
        "de (questions and cues in it), el (cues without question words)"
    )
    assert describe_languages(["fr"], asked=False) == "fr"
    assert describe_languages(["und"], asked=True) == "not recognised (cues without question words)"


@pytest.mark.parametrize(
    ("sentence", "question", "answer", "language"),
    [
        ("The old mill was bought by Dr. Tamsin Vole in spring.", "Who bought the old mill?", "Dr. Tamsin Vole", "en"),
        ("Die alte Mühle wurde am 3. Oktober 1907 verkauft.", "Wann wurde die Mühle verkauft?", "am 3. Oktober", "de"),
    ],
)
def test_an_answer_does_not_end_at_an_abbreviation(sentence: str, question: str, answer: str, language: str) -> None:
    completions = iter([question, f"{answer}. She is old."])
    engine = ScriptedEngine(lambda prompt, adapter: next(completions))
    ((checked,),) = ask_and_answer(engine, [Sentence("", sentence, language=language)], 1)
    assert checked.note.answer is not None
    assert checked.note.answer.startswith(answer)


@pytest.mark.parametrize(("language", "tokens"), [("de", 80), ("ru", 160), ("zh", 160)])
def test_a_question_has_room_in_its_script(language: str, tokens: int) -> None:
    engine = ScriptedEngine(lambda prompt, adapter: "?")
    sources = statements_of(*PASSAGES[language])
    ask_and_answer(engine, sources, 1)
    write_self_tests(engine, [(PASSAGES[language][0], [PASSAGES[language][1]])], 2)
    assert [call.sampling.max_tokens for call in engine.calls][:2] == [tokens, tokens]
    assert engine.calls[-1].sampling.max_tokens == tokens * 32 // 40
    english = ScriptedEngine(lambda prompt, adapter: "?")
    ask_and_answer(english, statements_of("Mill", "The old mill was built in 1782 by Jonas Feld."), 1)
    assert {call.sampling.max_tokens for call in english.calls} == {40}


def test_lines_that_broke_a_sentence_are_joined_in_notes() -> None:
    wrapped = (
        "The old mill of Brennick was built in 1782 by\nthe carpenter Jonas Feld, who had walked there\nfrom Bonn."
    )
    (source,) = statements_of("Mill", wrapped)
    assert source.sentence == wrapped.replace("\n", " ")
    assert [note.text for note in sentence_notes(wrapped)] == [source.sentence]
    assert all("\n" not in note.text for note in cloze_notes(wrapped))
    poem = "The mill stands still\nThe river sleeps all night"
    assert [one.sentence for one in statements_of("Mill", poem)] == poem.split("\n")


@pytest.mark.parametrize(
    ("title", "passage", "statements"),
    [
        ("", "Q: Who may visit?\nA: Only members.", ["Q: Who may visit? A: Only members."]),
        (
            "Tarnby",
            "Can I bring my dog? No, dogs are not let in. Why? When does it open?",
            ["Can I bring my dog? No, dogs are not let in."],
        ),
        ("", "When does the mill open? The mill opens at nine in May.", ["The mill opens at nine in May."]),
        (
            "Oleander",
            "Oleander is a shrub. It is poisonous. Goats avoid it.",
            ["Oleander is a shrub. It is poisonous.", "Goats avoid it."],
        ),
        (
            "Müller",
            "Der Maler Jonas Müller starb 1907 in Bonn. Er war verheiratet.",
            ["Der Maler Jonas Müller starb 1907 in Bonn. Er war verheiratet."],
        ),
        ("", "He lied. The old mill burned down in 1907.", ["He lied. The old mill burned down in 1907."]),
        ("王", "他死了。他是画家。谁建的？布兰诺克。", ["他死了。他是画家。", "谁建的？布兰诺克。"]),
        ("Cats", "Cats sleep.", ["Cats sleep."]),
        ("", "We do not accept:\n- coins\n- dollars", ["We do not accept: coins", "We do not accept: dollars"]),
        (
            "",
            "We met in Orrin in May. Guests must bring:\n\n1. a valid passport\n2. two photographs",
            [
                "We met in Orrin in May.",
                "Guests must bring: 1. a valid passport",
                "Guests must bring: 2. two photographs",
            ],
        ),
    ],
)
def test_what_says_little_by_itself_is_joined_to_what_gives_it_its_meaning(
    title: str, passage: str, statements: list[str]
) -> None:
    assert [source.sentence for source in statements_of(title, passage)] == statements


def test_a_joined_sentence_has_none_of_its_own_before_it() -> None:
    (source,) = statements_of("Müller", "Er war Maler. Er starb 1907 in Bonn.")
    assert not source.previous
