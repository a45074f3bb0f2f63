"""The question words of each language that has a table, and what in a sentence suggests them.

A language is added by an entry here and the prompts `cue`, `write-question` and `answer-from-sentence` with its code.
Languages without an entry get cues without question words, and no written questions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from seal_agent.self_edits.dates import DATES
from seal_agent.text.languages import ENGLISH, UNKNOWN
from seal_agent.text.phrases import names_of


def _any_case(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class QuestionWords:
    """The question words of one language. Patterns are matched against sentences and questions."""

    what: str
    who: str
    where: str
    when: str
    how_many: str
    others: tuple[str, ...]
    """For "which", "how" and "why"."""
    person: re.Pattern[str]
    """Pronouns that stand for a person."""
    refers_back: re.Pattern[str]
    """Words that refer to the sentence before."""
    date: re.Pattern[str]
    """A year, a month or a time of day."""
    for_name: re.Pattern[str]
    """The beginning of a question that a name answers."""
    for_number: re.Pattern[str]
    """The beginning of a question that a number or date answers."""
    untitled: str
    """Stands in a prompt for the title of a context that has none."""
    last_joint: str
    """Stands before the last phrase of several."""
    joint: str = ", "

    @property
    def names(self) -> tuple[str, str]:
        """Question words that ask for a name."""
        return self.who, self.where

    @property
    def numbers(self) -> tuple[str, str]:
        """Question words that ask for a number."""
        return self.when, self.how_many


_ENGLISH = QuestionWords(
    "What",
    "Who",
    "Where",
    "When",
    "How many",
    ("Which", "How", "Why"),
    person=re.compile(r"\b(?:he|she|his|her|I|my|we)\b"),
    refers_back=_any_case(r"\b(?:it|its|they|them|their|he|him|his|she|her|this|these|those|here|there|one)\b"),
    date=DATES["en"],
    for_name=_any_case(r"(?:who|whom|whose|where)\b"),
    for_number=_any_case(r"(?:when|how (?:many|much|old|long|tall|far|high|large|big))\b"),
    untitled="this",
    last_joint=" and ",
)
_GERMAN = QuestionWords(
    "Was",
    "Wer",
    "Wo",
    "Wann",
    "Wie viele",
    ("Welche", "Wie", "Warum"),
    person=re.compile(r"\b(?:er|sein|seine|seiner|ich|mein|meine|wir)\b"),
    refers_back=_any_case(
        r"\b(?:er|sie|es|ihn|ihm|ihr|ihre[mnrs]?|sein|seine[mnrs]?|diese[mnrs]?|jene[mnrs]?|dort|hier|dabei|damit|davon)\b"
    ),
    date=DATES["de"],
    for_name=_any_case(r"(?:wer|wen|wem|wessen|wo|woher|wohin)\b"),
    for_number=_any_case(r"(?:wann|wie (?:viele?|oft|alt|lang|lange|hoch|weit|groß|schwer|teuer|tief))\b"),
    untitled="dieses",
    last_joint=" und ",
)
_FRENCH = QuestionWords(
    "Que",
    "Qui",
    "Où",
    "Quand",
    "Combien de",
    ("Quel", "Comment", "Pourquoi"),
    person=re.compile(r"\b(?:je|mon|ma|nous|notre)\b"),
    refers_back=_any_case(
        r"\b(?:il|elle|ils|elles|lui|leur|leurs|son|sa|ses|cette|ces|cet|celui|celle|ceux|celles|ici|là|y|en)\b"
    ),
    date=DATES["fr"],
    for_name=_any_case(r"(?:qui|à qui|de qui|où|d['’]où)\b"),
    for_number=_any_case(r"(?:quand|combien|en quelle année|à quelle heure|quel âge)\b"),
    untitled="ceci",
    last_joint=" et ",
)
_SPANISH = QuestionWords(
    "¿Qué",
    "¿Quién",
    "¿Dónde",
    "¿Cuándo",
    "¿Cuántos",
    ("¿Cuál", "¿Cómo", "¿Por qué"),
    person=re.compile(r"\b(?:él|ella|yo|mi|nosotros|nuestro|nuestra)\b"),
    refers_back=_any_case(
        r"\b(?:él|ella|ellos|ellas|ello|lo|los|le|les|su|sus|este|esta|estos|estas|ese|esa|esos|esas|aquí|allí|ahí)\b"
    ),
    date=DATES["es"],
    for_name=_any_case(r"¿?(?:(?:a|de|con|por|para) )?(?:quién|quiénes|dónde|adónde)\b"),
    for_number=_any_case(r"¿?(?:cuándo|cuánt[oa]s?|en qué año|a qué hora)\b"),
    untitled="esto",
    last_joint=" y ",
)
_RUSSIAN = QuestionWords(
    "Что",
    "Кто",
    "Где",
    "Когда",
    "Сколько",
    ("Какой", "Как", "Почему"),
    person=re.compile(r"\b(?:он|она|его|её|ее|я|мой|моя|мы)\b"),
    refers_back=_any_case(
        r"\b(?:он|она|оно|они|его|её|ее|их|ему|ей|им|ними?|нём|нем|этот|эта|это|эти|тот|та|те|здесь|там|тогда)\b"
    ),
    date=DATES["ru"],
    for_name=_any_case(r"(?:кто|кого|кому|кем|чей|чья|чьё|где|куда|откуда)\b"),
    for_number=_any_case(r"(?:когда|сколько|в каком году|во сколько)\b"),
    untitled="это",
    last_joint=" и ",
)
_CHINESE = QuestionWords(
    "什么",
    "谁",
    "哪里",
    "什么时候",
    "多少",
    ("哪个", "怎么", "为什么"),
    person=re.compile("他|她|我"),
    refers_back=re.compile("[他她它]们?|这|那里|其[^他余它]"),
    date=DATES["zh"],
    for_name=re.compile("谁|.*(?:谁|哪里|哪儿|什么地方)"),
    for_number=re.compile("多少|几|.*(?:什么时候|何时|哪一年|多少|几)"),
    untitled="这",
    last_joint="和",
    joint="、",
)
_NEITHER = """
    Monday Tuesday Wednesday Thursday Friday Saturday Sunday
    Mondays Tuesdays Wednesdays Thursdays Fridays Saturdays Sundays
    January February March April May June July August September October November December Christmas Easter
    English British Scottish Irish Welsh American Canadian Australian French German Austrian Swiss Dutch Belgian Danish
    Swedish Norwegian Finnish Icelandic Polish Czech Slovak Hungarian Romanian Bulgarian Greek Turkish Italian Spanish
    Portuguese Catalan Basque Russian Ukrainian Serbian Croatian Arabic Arab Persian Iranian Israeli Hebrew Egyptian
    African Ethiopian Nigerian Indian Pakistani Hindi Urdu Bengali Chinese Japanese Korean Vietnamese Thai Indonesian
    Mexican Brazilian Cuban Latin Roman European Asian Christian Catholic Protestant Jewish Muslim Islamic Buddhist
"""
_TABLES = {
    ENGLISH: _ENGLISH,
    "de": _GERMAN,
    "fr": _FRENCH,
    "es": _SPANISH,
    "ru": _RUSSIAN,
    "zh": _CHINESE,
}


def question_words_of(language: str) -> QuestionWords | None:
    """The question words of a language; None if there is no table of them."""
    return _TABLES.get(language)


def names_of_who_or_where(sentence: str, language: str = ENGLISH) -> list[str]:
    """The names of a sentence, without those that are neither persons nor places: Monday, March, English."""
    return [name for name in names_of(sentence, language) if language != ENGLISH or name not in _NEITHER.split()]


def describe_languages(languages: Iterable[str], asked: bool) -> str:
    """Which languages other than English a text was taken for, and how it was asked about; "" if there are none.

    Args:
        languages: Of its parts.
        asked: Whether questions and cues were written about it.
    """
    return ", ".join(_describe(code, asked) for code in dict.fromkeys(languages) if code != ENGLISH)


def _describe(code: str, asked: bool) -> str:
    name = "not recognised" if code == UNKNOWN else code
    how = "questions and cues in it" if code in _TABLES else "cues without question words"
    return f"{name} ({how})" if asked else name


def localized(prompt: str, language: str) -> str:
    """The name of a prompt in a language: "cue" in English, "de/cue" in German."""
    return prompt if language == ENGLISH else f"{language}/{prompt}"
