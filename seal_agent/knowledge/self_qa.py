"""Questions that a small model can really write: one at a time, about one sentence, each answered from that sentence.

Asked for a list of questions about a whole passage, a model of a few hundred million parameters loses the passage
after two of them. With one sentence in view and two examples before it, it stays with what is said; what it still gets
wrong shows when its own answer, from the same sentence, is not in the sentence or changes when it is sampled again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.engine.base import Engine, Progress
from seal_agent.knowledge.grading import LexicalGrader
from seal_agent.knowledge.lexical import content_of
from seal_agent.knowledge.phrases import sentences_of
from seal_agent.prompts import fill_turns
from seal_agent.types import CheckedNote, Note, Prompt, Sampling, Verdict

SHORTEST_SENTENCE = 5  # words; a shorter one hardly says anything that could be asked for
LONGEST_ANSWER = 12  # words; a longer one is the sentence over again
_QUESTION = Sampling(max_tokens=40, temperature=0.7, top_p=0.95, stop=("\n",))
_ANSWER = Sampling(max_tokens=24, stop=("\n",))
_SECOND_ANSWER = Sampling(max_tokens=24, temperature=0.7, top_p=0.95, stop=("\n",))


@dataclass(frozen=True, slots=True)
class Source:
    """A sentence, and what it is about."""

    title: str
    sentence: str


def sources_of(title: str, passage: str) -> list[Source]:
    """The sentences of a passage that are long enough to be asked about."""
    return [Source(title, s) for s in sentences_of(passage) if len(s.split()) >= SHORTEST_SENTENCE]


def ask_and_answer(
    engine: Engine,
    sources: Sequence[Source],
    per_sentence: int,
    *,
    agree: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[CheckedNote, ...]]:
    """For every sentence its questions with their answers, each once, and what is wrong with those not to be used.

    With `agree`, the answer is sampled a second time and has to say the same again.
    """
    asked = [source for source in sources for _ in range(per_sentence)]
    written = engine.generate([_ask(source) for source in asked], _seeded(_QUESTION, seed), progress=progress)
    questions = [completion.text.strip() for completion in written]
    prompts = [_answer(source, question) for source, question in zip(asked, questions, strict=True)]
    answers = [completion.text.strip() for completion in engine.generate(prompts, _ANSWER)]
    again = answers
    if agree:
        again = [c.text.strip() for c in engine.generate(prompts, _seeded(_SECOND_ANSWER, seed))]
    notes: list[list[CheckedNote]] = [[] for _ in sources]
    for i, (source, question, answer, other) in enumerate(zip(asked, questions, answers, again, strict=True)):
        of_sentence = notes[i // per_sentence]
        if all(question.casefold() != checked.note.text.casefold() for checked in of_sentence):
            reason = _flaw(source, question, answer) or _disagreement(question, answer, other)
            of_sentence.append(CheckedNote(Note(question, answer), not reason, reason))
    return [tuple(of_sentence) for of_sentence in notes]


def _ask(source: Source) -> Prompt:
    return fill_turns("write-question", title=source.title or "this", sentence=source.sentence)


def _answer(source: Source, question: str) -> Prompt:
    return fill_turns("answer-from-sentence", sentence=source.sentence, question=question or "?")


def _flaw(source: Source, question: str, answer: str) -> str:
    """What the words show to be wrong with a pair; "" for nothing."""
    said, asked = set(content_of(answer)), set(content_of(question))
    known = {*content_of(source.sentence), *content_of(source.title)}
    if not question.endswith("?"):
        return "is no question"
    if not said:
        return "has no answer"
    if len(answer.split()) > LONGEST_ANSWER:
        return "answers with more than was asked for"
    if foreign := sorted(said - known):
        return f"answers with a word that the sentence lacks: {foreign[0]}"
    return "has its answer in the question" if said <= asked else ""


def _disagreement(question: str, answer: str, other: str) -> str:
    same = answer == other or LexicalGrader().grade(question, [answer], other) is Verdict.CORRECT
    return "" if same else f"is answered differently when asked again: {other}"


def _seeded(sampling: Sampling, seed: int) -> Sampling:
    return Sampling(sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.stop, seed)
