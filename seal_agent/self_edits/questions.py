"""Questions that a small model can write: one at a time, about one sentence, each answered from that sentence.

Asked for a list of questions about a whole passage, a model of a few hundred million parameters loses the passage after
two of them. With one sentence in view, after two examples, it stays with the sentence. What is still wrong shows: the
model's own answer from that sentence is not in the sentence, or changes when it is sampled again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.prompts import fill_turns
from seal_agent.self_edits.joining import joined
from seal_agent.self_edits.question_words import localized, question_words_of
from seal_agent.text.languages import ENGLISH, language_of
from seal_agent.text.layout import in_one_line, with_lead_ins
from seal_agent.text.phrases import names_of, phrases_of
from seal_agent.text.reasoning import without_reasoning
from seal_agent.text.scripts import UNSPACED, room_in_script, word_count
from seal_agent.text.sentences import is_question, sentences_of
from seal_agent.text.words import content_words, has_number, is_number, words_of
from seal_agent.types import CheckedNote, Note, Prompt, Sampling

MIN_SENTENCE_WORDS = 5  # a small model writes no good question about a shorter sentence
MIN_CONTENT_WORDS = 2  # outside the title, for a shorter sentence to be a statement
MAX_NEW_WORDS = 8  # content words of an answer that the question lacks; with more, it repeats the sentence
_TOKENS = 40  # of a question or an answer in English
_QUESTION_SAMPLING = Sampling(temperature=0.3, top_p=0.95, stop=("\n",))
# A small model invents in what it adds after the answer.
_ANSWER_STOPS = ("\n", ", which", ", who", ", and", ", but", ", so ", ", as ", ", or ")
_ANSWER_SAMPLING = Sampling(stop=_ANSWER_STOPS)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and the title of its context. `previous` is the sentence before it, if it refers back to that."""

    title: str
    sentence: str
    previous: str = ""
    language: str = ENGLISH


def sources_of(title: str, passage: str) -> list[Sentence]:
    """The sentences of a passage that are long enough for a question. Questions stand before their answers."""
    return [source for source in statements_of(title, passage) if is_long(source)]


def statements_of(title: str, passage: str) -> list[Sentence]:
    """`sources_of`, and the short sentences that say something besides the title, such as "Length 31 cm.".

    Lines that broke a sentence are joined. An item of a list begins with the line that leads to the list. Of a passage
    with words, there is one statement at least, unless it only asks.
    """
    language = language_of(passage)
    sentences, words = (
        [in_one_line(s) for s in sentences_of(with_lead_ins(passage), language)],
        question_words_of(language),
    )

    def is_statement(text: str) -> bool:
        source = Sentence(title, text, language=language)
        return is_long(source) or _has_content(source)

    def refers_back(text: str) -> bool:
        return bool(words and words.refers_back.search(text))

    statements = joined(sentences, title, language, is_statement, refers_back)
    return [
        Sentence(title, text, previous if refers_back(text) and previous not in text else "", language)
        for text, previous in statements
    ]


def is_long(source: Sentence) -> bool:
    """Whether a sentence is long enough to write a question about."""
    return word_count(source.sentence) >= MIN_SENTENCE_WORDS


def room_for(sources: Sequence[Sentence], tokens: int = _TOKENS) -> int:
    """How many tokens a question about one of these sentences, or an answer from it, may take; `tokens` in English."""
    return room_in_script([source.sentence for source in sources if source.language != ENGLISH], tokens)


def is_dated(sentence: str, language: str = ENGLISH) -> bool:
    """Whether a sentence names a year, a month or a time of day."""
    words = question_words_of(language)
    return bool(words and words.date.search(sentence))


def _has_content(source: Sentence) -> bool:
    language = source.language
    new = {*content_words(source.sentence, language)} - {*words_of(source.title, language)}
    unspaced = bool(UNSPACED.search(source.sentence)) and word_count(source.sentence) > MIN_CONTENT_WORDS
    return len(new) >= MIN_CONTENT_WORDS or unspaced


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
    asked = ask(engine, sources, per_sentence, seed, progress)
    rows = [(i, question) for i, of_sentence in enumerate(asked) for question in of_sentence]
    prompts = [answer_prompt(sources[i], question) for i, question in rows]
    sampling = replace(_ANSWER_SAMPLING, max_tokens=room_for(sources))
    completions = engine.generate(prompts, sampling, progress=progress)
    answers = [
        next(iter(sentences_of(without_reasoning(completion.text), sources[i].language)), "")
        for (i, _), completion in zip(rows, completions, strict=True)
    ]
    notes: list[list[CheckedNote]] = [[] for _ in sources]
    for (i, question), answer in zip(rows, answers, strict=True):
        source, sentence_notes = sources[i], notes[i]
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
    """The model's `per_sentence` questions about each sentence, unchecked: some come twice, some are unusable.

    There are none in a language without a table of question words.
    """
    words = [question_words(source.sentence, per_sentence, source.language) for source in sources]
    prompts = [
        _question_prompt(source, word)
        for source, source_words in zip(sources, words, strict=True)
        for word in source_words
    ]
    sampling = replace(_QUESTION_SAMPLING, max_tokens=room_for(sources), seed=seed)
    completions = engine.generate(prompts, sampling, progress=progress) if prompts else []
    questions = iter(without_reasoning(completion.text).strip() for completion in completions)
    return [[next(questions) for _ in source_words] for source_words in words]


def question_flaw(source: Sentence, question: str) -> str:
    """What is wrong with a question about a sentence, judged by its words; "" if nothing."""
    if not is_question(question, source.language):
        return "is no question"
    foreign = _foreign_words(source, question)
    if foreign and (len(foreign) > 1 or is_number(foreign[0])):
        return f"asks with words that the sentence lacks: {', '.join(foreign)}"
    return ""


def question_words(sentence: str, count: int, language: str = ENGLISH) -> list[str]:
    """The first words of `count` questions about a sentence; those that its numbers and names suggest come first.

    Empty in a language without a table of question words.
    """
    table = question_words_of(language)
    if table is None:
        return []
    words = [table.what]
    if names_of(sentence, language):
        words += table.names
    if is_dated(sentence, language):
        words.insert(1, table.when)
    elif has_number(sentence, language):
        words.insert(1, table.how_many)
    words += [word for word in table.others if word not in words]
    return [words[i % len(words)] for i in range(count)]


def _question_prompt(source: Sentence, word: str) -> Prompt:
    table = question_words_of(source.language)
    title = source.title or (table.untitled if table else "")
    return fill_turns(localized("write-question", source.language), title=title, sentence=source.sentence, word=word)


def answer_prompt(source: Sentence, question: str) -> Prompt:
    """The prompt for an answer, with the sentence in view."""
    prompt = localized("answer-from-sentence", source.language)
    return fill_turns(prompt, sentence=source.sentence, question=question or "?")


def _pair_flaw(source: Sentence, question: str, answer: str) -> str:
    """What is wrong with a question-answer pair, judged by its words; "" if nothing."""
    if flaw := question_flaw(source, question):
        return flaw
    language = source.language
    in_answer, in_question = set(content_words(answer, language)), set(content_words(question, language))
    new = in_answer - in_question
    if foreign := _lacking(source, new):
        return f"answers with a word that the sentence lacks: {foreign[0]}"
    if not new:
        return "has its answer in the question" if in_answer else "has no answer"
    return "answers with more than was asked for" if len(new) > MAX_NEW_WORDS else ""


def _foreign_words(source: Sentence, question: str) -> list[str]:
    """Content words of a question, but for its question word, that neither the sentence nor the title has."""
    if not UNSPACED.search(question):
        return _lacking(source, {*content_words(question, source.language)})
    table = question_words_of(source.language)
    for word in (table.what, *table.names, *table.numbers, *table.others) if table else ():
        question = question.replace(word, "")
    return _lacking(source, {*phrases_of(question, source.language)})


def _lacking(source: Sentence, words: set[str]) -> list[str]:
    """Words that neither the sentence nor the title has. Without spaces between words, single characters count."""
    known = {*words_of(source.sentence, source.language), *words_of(source.title, source.language)}
    characters = {*source.sentence, *source.title}
    return sorted(word for word in words - known if not UNSPACED.search(word) or _is_foreign(word, characters))


def _is_foreign(word: str, characters: set[str]) -> bool:
    return sum(character not in characters for character in word) * 2 > len(word)
