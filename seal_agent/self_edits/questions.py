"""Questions that a small model can write: one at a time, about one sentence, each answered from that sentence.

Asked for a list of questions about a whole passage, a model of a few hundred million parameters loses the passage after
two of them. With one sentence in view, after two examples, it stays with the sentence. What is still wrong shows: the
model's own answer from that sentence is not in the sentence, or changes when it is sampled again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.prompts import fill_turns
from seal_agent.text.phrases import names_of, sentences_of
from seal_agent.text.words import content_words, first_sentence, has_number, is_number, words_of
from seal_agent.types import CheckedNote, Note, Prompt, Sampling

MIN_SENTENCE_WORDS = 5  # a small model writes no good question about a shorter sentence
MIN_CONTENT_WORDS = 2  # outside the title, for a shorter sentence to be a statement
MAX_NEW_WORDS = 8  # content words of an answer that the question lacks; with more, it repeats the sentence
_QUESTION_SAMPLING = Sampling(max_tokens=40, temperature=0.3, top_p=0.95, stop=("\n",))
# A small model invents in what it adds after the answer.
_ANSWER_STOPS = ("\n", ", which", ", who", ", and", ", but", ", so ", ", as ", ", or ")
_ANSWER_SAMPLING = Sampling(max_tokens=40, stop=_ANSWER_STOPS)
_REFERS_BACK = re.compile(r"\b(?:it|its|they|them|their|he|him|his|she|her|this|these|those|here|there|one)\b", re.I)
_DATE = re.compile(r"\b1\d{3}\b|\b20\d\d\b|\b\d{1,2}:\d\d\b|\b(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sep|Oct|Nov|Dec)")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and the title of its context. `previous` is the sentence before it, if it refers back to that."""

    title: str
    sentence: str
    previous: str = ""


def sources_of(title: str, passage: str) -> list[Sentence]:
    """The sentences of a passage that are long enough for a question. Questions are left out: they answer nothing."""
    return [source for source in statements_of(title, passage) if is_long(source)]


def statements_of(title: str, passage: str) -> list[Sentence]:
    """`sources_of`, and the short sentences that say something besides the title, such as "Length 31 cm."."""
    sentences = sentences_of(passage)
    sources = [
        Sentence(title, sentence, previous if _REFERS_BACK.search(sentence) else "")
        for previous, sentence in zip(["", *sentences], sentences, strict=False)
        if not sentence.endswith("?")
    ]
    return [source for source in sources if is_long(source) or _has_content(source)]


def is_long(source: Sentence) -> bool:
    """Whether a sentence is long enough to write a question about."""
    return len(source.sentence.split()) >= MIN_SENTENCE_WORDS


def is_dated(sentence: str) -> bool:
    """Whether a sentence names a year, a month or a time of day."""
    return bool(_DATE.search(sentence))


def _has_content(source: Sentence) -> bool:
    return len({*content_words(source.sentence)} - {*words_of(source.title)}) >= MIN_CONTENT_WORDS


def ask_and_answer(
    engine: Engine,
    sources: Sequence[Sentence],
    per_sentence: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[CheckedNote, ...]]:
    """Write questions about each sentence and answer them from it.

    Args:
        sources: The sentences.
        per_sentence: Questions about each sentence; duplicates are dropped.
        seed: Of the first question; each further one adds 1.
        progress: Called as the engine generates.

    Returns the pairs of each sentence, each kept or with what is wrong with it.
    """
    source_per_question = [source for source in sources for _ in range(per_sentence)]
    questions = [
        question
        for sentence_questions in ask(engine, sources, per_sentence, seed, progress)
        for question in sentence_questions
    ]
    prompts = [answer_prompt(source, question) for source, question in zip(source_per_question, questions, strict=True)]
    completions = engine.generate(prompts, _ANSWER_SAMPLING, progress=progress)
    answers = [first_sentence(completion.text.strip()) for completion in completions]
    notes: list[list[CheckedNote]] = [[] for _ in sources]
    for i, (source, question, answer) in enumerate(zip(source_per_question, questions, answers, strict=True)):
        sentence_notes = notes[i // per_sentence]
        if all(question.casefold() != checked.note.text.casefold() for checked in sentence_notes):
            reason = _pair_flaw(source, question, answer)
            sentence_notes.append(CheckedNote(Note(question, answer), not reason, reason))
    return [tuple(sentence_notes) for sentence_notes in notes]


def ask(
    engine: Engine,
    sources: Sequence[Sentence],
    per_sentence: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[list[str]]:
    """The model's `per_sentence` questions about each sentence, unchecked: some come twice, some are unusable."""
    prompts = [
        _question_prompt(source, word) for source in sources for word in question_words(source.sentence, per_sentence)
    ]
    completions = engine.generate(prompts, replace(_QUESTION_SAMPLING, seed=seed), progress=progress)
    questions = [completion.text.strip() for completion in completions]
    return [questions[i : i + per_sentence] for i in range(0, len(questions), per_sentence)]


def question_flaw(source: Sentence, question: str) -> str:
    """What is wrong with a question about a sentence, judged by its words; "" if nothing."""
    if not question.endswith("?"):
        return "is no question"
    foreign = sorted({*content_words(question)} - _source_words(source))
    if foreign and (len(foreign) > 1 or is_number(foreign[0])):
        return f"asks with words that the sentence lacks: {', '.join(foreign)}"
    return ""


def question_words(sentence: str, count: int) -> list[str]:
    """The first words of `count` questions about a sentence; those that its numbers and names suggest come first."""
    words = ["What"]
    if names_of(sentence):
        words += ["Who", "Where"]
    if is_dated(sentence):
        words.insert(1, "When")
    elif has_number(sentence):
        words.insert(1, "How many")
    words += [word for word in ("Which", "How", "Why") if word not in words]
    return [words[i % len(words)] for i in range(count)]


def _question_prompt(source: Sentence, word: str) -> Prompt:
    return fill_turns("write-question", title=source.title or "this", sentence=source.sentence, word=word)


def answer_prompt(source: Sentence, question: str) -> Prompt:
    """The prompt for an answer, with the sentence in view."""
    return fill_turns("answer-from-sentence", sentence=source.sentence, question=question or "?")


def _pair_flaw(source: Sentence, question: str, answer: str) -> str:
    """What is wrong with a question-answer pair, judged by its words; "" if nothing."""
    if flaw := question_flaw(source, question):
        return flaw
    in_answer, in_question = set(content_words(answer)), set(content_words(question))
    new = in_answer - in_question
    if foreign := sorted(new - _source_words(source)):
        return f"answers with a word that the sentence lacks: {foreign[0]}"
    if not new:
        return "has its answer in the question" if in_answer else "has no answer"
    return "answers with more than was asked for" if len(new) > MAX_NEW_WORDS else ""


def _source_words(source: Sentence) -> set[str]:
    return {*words_of(source.sentence), *words_of(source.title)}
