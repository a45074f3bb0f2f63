"""Questions that a small model can really write: one at a time, about one sentence, each answered from that sentence.

Asked for a list of questions about a whole passage, a model of a few hundred million parameters loses the passage
after two of them. With one sentence in view and two examples before it, it stays with what is said; what it still gets
wrong shows when its own answer, from the same sentence, is not in the sentence or changes when it is sampled again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.prompts import fill_turns
from seal_agent.text.phrases import names_of, sentences_of
from seal_agent.text.words import content_of, first_sentence, has_number, is_number, words_of
from seal_agent.types import CheckedNote, Note, Prompt, Sampling

SHORTEST_SENTENCE = 5  # words; about a shorter one a small model writes no good question
FEWEST_CONTENT_WORDS = 2  # of a shorter sentence, for it to be a statement
MOST_NEW_WORDS = 8  # of an answer, content words that the question lacks; more are the sentence over again
_QUESTION = Sampling(max_tokens=40, temperature=0.3, top_p=0.95, stop=("\n",))
# What a small model adds behind an answer is where it invents; the answer itself stands before that.
_ENDS = ("\n", ", which", ", who", ", and", ", but", ", so ", ", as ", ", or ")
_ANSWER = Sampling(max_tokens=40, stop=_ENDS)
_POINTS_BACK = re.compile(r"\b(?:it|its|they|them|their|he|him|his|she|her|this|these|those|here|there|one)\b", re.I)
_YEAR = re.compile(r"\b1\d{3}\b|\b20\d\d\b|\b\d{1,2}:\d\d\b|\b(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sep|Oct|Nov|Dec)")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, and what it is about; and the sentence `before` it, where it points back there."""

    title: str
    sentence: str
    before: str = ""


def sources_of(title: str, passage: str) -> list[Sentence]:
    """The sentences of a passage that are long enough to be asked about. A question answers nothing and is left out."""
    return [source for source in statements_of(title, passage) if is_long(source)]


def statements_of(title: str, passage: str) -> list[Sentence]:
    """As `sources_of`, and short sentences too, where they say something besides the title: "Length 31 cm."."""
    sentences = sentences_of(passage)
    sources = [
        Sentence(title, sentence, before if _POINTS_BACK.search(sentence) else "")
        for before, sentence in zip(["", *sentences], sentences, strict=False)
        if not sentence.endswith("?")
    ]
    return [source for source in sources if is_long(source) or _says_something(source)]


def is_long(source: Sentence) -> bool:
    """Whether a question can be written about a sentence."""
    return len(source.sentence.split()) >= SHORTEST_SENTENCE


def is_dated(sentence: str) -> bool:
    """Whether a sentence names a year, a month or a time of day."""
    return bool(_YEAR.search(sentence))


def _says_something(source: Sentence) -> bool:
    return len({*content_of(source.sentence)} - {*words_of(source.title)}) >= FEWEST_CONTENT_WORDS


def ask_and_answer(
    engine: Engine,
    sources: Sequence[Sentence],
    per_sentence: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[CheckedNote, ...]]:
    """For every sentence its questions with their answers, each once, and what is wrong with those not to be used."""
    asked = [source for source in sources for _ in range(per_sentence)]
    questions = [q for of_sentence in ask(engine, sources, per_sentence, seed, progress) for q in of_sentence]
    prompts = [answer_prompt(source, question) for source, question in zip(asked, questions, strict=True)]
    answers = [first_sentence(c.text.strip()) for c in engine.generate(prompts, _ANSWER, progress=progress)]
    notes: list[list[CheckedNote]] = [[] for _ in sources]
    for i, (source, question, answer) in enumerate(zip(asked, questions, answers, strict=True)):
        of_sentence = notes[i // per_sentence]
        if all(question.casefold() != checked.note.text.casefold() for checked in of_sentence):
            reason = _flaw(source, question, answer)
            of_sentence.append(CheckedNote(Note(question, answer), not reason, reason))
    return [tuple(of_sentence) for of_sentence in notes]


def ask(
    engine: Engine,
    sources: Sequence[Sentence],
    per_sentence: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[list[str]]:
    """What the model asks about each sentence, as it wrote it; some twice, some not worth asking."""
    prompts = [_ask(source, word) for source in sources for word in question_words(source.sentence, per_sentence)]
    written = [c.text.strip() for c in engine.generate(prompts, _seeded(_QUESTION, seed), progress=progress)]
    return [written[i : i + per_sentence] for i in range(0, len(written), per_sentence)]


def question_flaw(source: Sentence, question: str) -> str:
    """What the words show to be wrong with a question about a sentence; "" for nothing."""
    if not question.endswith("?"):
        return "is no question"
    foreign = sorted({*content_of(question)} - _known(source))
    if foreign and (len(foreign) > 1 or is_number(foreign[0])):
        return f"asks with words that the sentence lacks: {', '.join(foreign)}"
    return ""


def question_words(sentence: str, count: int) -> list[str]:
    """How `count` questions about a sentence begin: first with what its numbers and names suggest, then round again."""
    words = ["What"]
    if names_of(sentence):
        words += ["Who", "Where"]
    if is_dated(sentence):
        words.insert(1, "When")
    elif has_number(sentence):
        words.insert(1, "How many")
    words += [word for word in ("Which", "How", "Why") if word not in words]
    return [words[i % len(words)] for i in range(count)]


def _ask(source: Sentence, word: str) -> Prompt:
    return fill_turns("write-question", title=source.title or "this", sentence=source.sentence, word=word)


def answer_prompt(source: Sentence, question: str) -> Prompt:
    """The question with its sentence in view."""
    return fill_turns("answer-from-sentence", sentence=source.sentence, question=question or "?")


def _flaw(source: Sentence, question: str, answer: str) -> str:
    """What the words show to be wrong with a pair; "" for nothing."""
    if flaw := question_flaw(source, question):
        return flaw
    said, asked = set(content_of(answer)), set(content_of(question))
    if foreign := sorted(said - _known(source) - asked):
        return f"answers with a word that the sentence lacks: {foreign[0]}"
    if not said - asked:
        return "has its answer in the question" if said else "has no answer"
    return "answers with more than was asked for" if len(said - asked) > MOST_NEW_WORDS else ""


def _known(source: Sentence) -> set[str]:
    return {*words_of(source.sentence), *words_of(source.title)}


def _seeded(sampling: Sampling, seed: int) -> Sampling:
    return replace(sampling, seed=seed)
