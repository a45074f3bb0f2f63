"""Notes about a picture: a description, the text that stands in it, and questions with their answers.

A model that sees is asked several times. What enough samples say alike is kept (MM-UPT, Wei et al., 2025,
arXiv 2505.22453, takes such votes for labels), if the picture makes it likelier than it is without the picture: what a
model would say anyway it has not seen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rapidfuzz import fuzz

from seal_agent.config import PictureConfig
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.prompts import fill, load_prompt, question_prompt
from seal_agent.seeds import derived_seed
from seal_agent.text.languages import language_of
from seal_agent.text.reasoning import without_reasoning
from seal_agent.text.sentences import sentences_of
from seal_agent.text.words import content_words, is_number, negates, words_of
from seal_agent.types import CheckedNote, Message, Note, Picture, Sampling

ALIKE = 80.0  # rapidfuzz token sort ratio, 0..100, from which two descriptions say the same; not tuned
LONGEST_ANSWER = 12  # words; a longer text is no answer to a question of this kind
FEWEST_WORDS = 3  # of a sentence of a description
_MARKER = re.compile(r"^\s*(?:[-*•]|\d+[.)]|Q\d*:)\s*")
_FIRST_NO = re.compile(r"^no,\s+(?=\w)", re.IGNORECASE)  # "No, it is closed" negates the question, not what follows
_PLACES = {  # words of place and the like, as what they count; "on", "in" and "at" are often left out and are not here
    **dict.fromkeys(("under", "underneath", "below", "beneath"), "under"),
    **dict.fromkeys(("over", "above"), "over"),
    **dict.fromkeys(("beside", "next"), "beside"),
    **{word: word for word in ("behind", "between", "bottom", "down", "front", "inside", "left", "off", "opposite")},
    **{word: word for word in ("outside", "right", "top", "up", "without")},
}
_PLACE = re.compile(rf"\b(?:{'|'.join(_PLACES)})\b", re.IGNORECASE)
_STEMMED_PLACES = frozenset(words_of(" ".join(_PLACES)))
_NOTHING = re.compile(r"^\W*(?:none|no text|nothing)\W*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model makes of one picture: lines of text, and pairs of question and answer, each kept or not."""

    lines: tuple[CheckedNote, ...]
    pairs: tuple[CheckedNote, ...]
    raw: str
    """What it wrote, sample by sample."""

    @property
    def text(self) -> str:
        """What is kept, as a passage; "" if nothing is."""
        lines = [checked.note.text for checked in self.lines if checked.kept]
        asked = [f"{c.note.text} {c.note.answer}" for c in self.pairs if c.kept]
        return "\n".join(lines or asked)

    @property
    def notes(self) -> tuple[CheckedNote, ...]:
        return (*self.lines, *self.pairs)


def look_at(
    engine: Engine,
    pictures: Sequence[tuple[str, Picture]],
    config: PictureConfig,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Seen]:
    """What the model makes of each picture, given with the title of its context; all in a few batches."""
    seed = derived_seed(seed, "pictures")
    described = _samples(engine, pictures, load_prompt("describe-picture"), config, seed, progress)
    copied = _samples(engine, pictures, load_prompt("read-picture"), config, seed + 1, progress)
    lines = [
        [*_said_alike([sentences(text) for text in of_picture], config), *_read_alike(texts, config)]
        for of_picture, texts in zip(described, copied, strict=True)
    ]
    pairs = ask_about(engine, pictures, config, seed=seed + 2, progress=progress)
    kept_lines = _seen_lines(engine, pictures, lines, config)
    return [
        Seen(tuple(own_lines), tuple(own_pairs), "\n\n".join([*texts, *read]))
        for own_lines, own_pairs, texts, read in zip(kept_lines, pairs, described, copied, strict=True)
    ]


def ask_about(
    engine: Engine,
    pictures: Sequence[tuple[str, Picture]],
    config: PictureConfig,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[list[CheckedNote]]:
    """Questions that the model writes about each picture, with the answers that its samples agree on."""
    asked = written_questions(engine, pictures, config, seed=seed, progress=progress)
    votes = votes_on(engine, [(*pictures[i], question) for i, question in asked], config, seed=seed, progress=progress)
    gains = gains_by_seeing(engine, [(*pictures[i], q, vote.answer) for (i, q), vote in zip(asked, votes, strict=True)])
    pairs: list[list[CheckedNote]] = [[] for _ in pictures]
    for (i, question), vote, gain in zip(asked, votes, gains, strict=True):
        pairs[i].append(_checked(Note(question, vote.answer), vote.flaw(config), gain, config))
    return pairs


def written_questions(
    engine: Engine,
    pictures: Sequence[tuple[str, Picture]],
    config: PictureConfig,
    writer: LoraAdapter | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[int, str]]:
    """Questions that the model, or an adapter, writes about each picture, each with the picture's index."""
    if not config.questions:
        return []
    task = fill(load_prompt("ask-picture"), count=str(config.questions))
    prompts = [shown(title, picture, task) for title, picture in pictures]
    written = [
        _texts(engine, prompts, sampling, progress, writer)
        for sampling in (Sampling(config.max_tokens), config.sampling(config.max_tokens, seed))
    ]
    return [
        (i, question)
        for i, texts in enumerate(zip(*written, strict=True))
        for question in questions_in("\n".join(texts))[: config.questions]
    ]


@dataclass(frozen=True, slots=True)
class Vote:
    """The answer that most samples give, its share among those that can be read, and what could not be read."""

    answer: str
    share: float
    unreadable: tuple[str, ...] = ()
    unanimous: bool = False

    def flaw(self, config: PictureConfig) -> str:
        """Why it is no label; "" if it is one."""
        if not self.answer:
            return (
                f"none of its answers can be read, as {self.unreadable[0][:60]!r}" if self.unreadable else "no answer"
            )
        if self.share < config.agreement:
            return f"only {self.share:.0%} of its answers say so"
        return ""


def votes_on(
    engine: Engine,
    questions: Sequence[tuple[str, Picture, str]],
    config: PictureConfig,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Vote]:
    """The vote of `config.samples` answers to each question about a picture (title, picture, question)."""
    return [vote_of(texts) for texts in sampled_answers(engine, questions, config, seed=seed, progress=progress)]


def sampled_answers(
    engine: Engine,
    questions: Sequence[tuple[str, Picture, str]],
    config: PictureConfig,
    adapter: LoraAdapter | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[list[str]]:
    """`config.samples` answers of the model, or of an adapter, to each question about a picture."""
    prompts = [asked_of(*row) for row in questions for _ in range(config.samples)]
    texts = _texts(engine, prompts, config.sampling(config.answer_tokens, seed), progress, adapter)
    return [texts[i : i + config.samples] for i in range(0, len(texts), config.samples)]


def vote_of(texts: Sequence[str]) -> Vote:
    """The vote of some answers. Those that cannot be read are shown and not counted."""
    readable = [text for text in texts if is_answer(text)]
    unreadable = tuple(text for text in texts if not is_answer(text))
    if not readable:
        return Vote("", 0.0, unreadable)
    counts = Counter(map(vote_key, readable))
    key, count = counts.most_common(1)[0]
    answer = _commonest(_first_line(text) for text in readable if vote_key(text) == key)
    return Vote(answer, count / len(readable), unreadable, len(counts) == 1)


def is_answer(text: str) -> bool:
    """Whether a text can be read as a short answer."""
    line = _first_line(text)
    return bool(vote_key(line)) and len(words_of(line)) <= LONGEST_ANSWER


def vote_key(text: str) -> tuple[str, ...]:
    """Answers with the same key count as the same: their content words, or all words where there are none.

    Whether they negate, and which words of place they have, belongs to it.
    """
    line = _FIRST_NO.sub("", _first_line(text))
    return tuple(sorted([*(word for word in content_words(line) if word not in _STEMMED_PLACES), *_sense_of(line)]))


def gains_by_seeing(engine: Engine, rows: Sequence[tuple[str, Picture, str, str]]) -> list[float]:
    """How much likelier the picture makes an answer, nats per token; rows of (title, picture, question, answer)."""
    prompts = [p for title, picture, question, _ in rows for p in _with_and_without(title, picture, question)]
    return _gains(engine, prompts, [answer for *_, answer in rows])


def questions_in(text: str) -> list[str]:
    """The questions of a text, each once, in order."""
    lines = (_MARKER.sub("", line).strip() for line in text.splitlines())
    return list(dict.fromkeys(line for line in lines if line.endswith(("?", "？")) and len(words_of(line)) > 1))


def sentences(text: str) -> list[str]:
    """The sentences of a description, each once."""
    lines = [_MARKER.sub("", line).strip() for line in text.splitlines()]
    every = [s for line in lines if line for s in sentences_of(line, language_of(line))]
    return list(dict.fromkeys(s.strip() for s in every if len(words_of(s)) >= FEWEST_WORDS))


def shown(title: str, picture: Picture, text: str) -> tuple[Message, ...]:
    """A user's turn about a picture."""
    return (Message("user", question_prompt(title, text), pictures=(picture,)),)


def asked_of(title: str, picture: Picture, question: str) -> tuple[Message, ...]:
    """A question about a picture in view."""
    return shown(title, picture, fill(load_prompt("answer-picture"), question=question))


# ---------------------------------------------------------------- agreement


def _said_alike(samples: Sequence[Sequence[str]], config: PictureConfig) -> list[CheckedNote]:
    """Sentences of the samples, with the share of samples that say the same. Each statement once, as most say it."""
    notes: list[CheckedNote] = []
    known: list[str] = []
    for sentence in (sentence for sample in samples for sentence in sample):
        if any(says_same(sentence, other) for other in known):
            continue
        alike = [[other for other in sample if says_same(sentence, other)] for sample in samples]
        share = sum(map(bool, alike)) / len(samples)
        flaw = "" if share >= config.agreement else f"only {share:.0%} of its descriptions say so"
        wording = _commonest(other for of_sample in alike for other in of_sample)
        known += [sentence, wording]
        notes.append(CheckedNote(Note(wording), not flaw, flaw))
    return notes


def says_same(left: str, right: str) -> bool:
    """Whether two sentences say the same of a picture: much the same words, and the same numbers, "not" and places."""
    words = [content_words(text) for text in (left, right)]
    numbers = [{word for word in of_text if is_number(word)} for of_text in words]
    if numbers[0] != numbers[1] or _sense_of(left) != _sense_of(right):
        return False
    return bool(fuzz.token_sort_ratio(*(" ".join(w) for w in words)) >= ALIKE)


def _sense_of(text: str) -> frozenset[str]:
    """What turns a sentence round in a few letters: "not" where something is negated, and the words of place."""
    language = language_of(text)
    without_places = _PLACE.sub(" ", text)  # `words_of` takes "not over" for a bound
    negated = ["not"] if negates(words_of(without_places, language), language) else []
    return frozenset([*negated, *(_PLACES[word.casefold()] for word in _PLACE.findall(text))])


def _commonest(wordings: Iterable[str]) -> str:
    """The wording that is there most often; of equals, the first."""
    return Counter(wordings).most_common(1)[0][0]


def _read_alike(texts: Sequence[str], config: PictureConfig) -> list[CheckedNote]:
    """Lines of text that the samples read in the picture, letter for letter."""
    # Not as sets: their order is another in every process.
    read = [dict.fromkeys(_spaced(line) for line in text.splitlines() if _spaced(line)) for text in texts]
    counts = Counter(line for lines in read for line in lines if not _NOTHING.match(line))
    notes = []
    for line, count in counts.items():
        share = count / len(texts)
        flaw = "" if share >= config.agreement else f"only {share:.0%} of its transcripts read so"
        notes.append(CheckedNote(Note(f'The picture says "{line}".'), not flaw, flaw))
    return notes


def _spaced(line: str) -> str:
    return " ".join(line.split())


# ---------------------------------------------------------------- likelihood


def _seen_lines(
    engine: Engine,
    pictures: Sequence[tuple[str, Picture]],
    lines: Sequence[Sequence[CheckedNote]],
    config: PictureConfig,
) -> list[list[CheckedNote]]:
    """The lines, those refused that the picture does not make likelier."""
    task = load_prompt("describe-picture")
    kept = [(i, checked) for i, of_picture in enumerate(lines) for checked in of_picture if checked.kept]
    prompts = [prompt for i, _ in kept for prompt in _with_and_without(*pictures[i], task)]
    gains = iter(_gains(engine, prompts, [checked.note.text for _, checked in kept]))
    return [
        [_checked(c.note, c.reason, next(gains), config) if c.kept else c for c in of_picture] for of_picture in lines
    ]


def _checked(note: Note, flaw: str, gain: float, config: PictureConfig) -> CheckedNote:
    if not flaw and gain <= config.least_gain:
        flaw = f"the picture does not make it likelier ({gain:+.2f} nats per token)"
    return CheckedNote(note, not flaw, flaw)


def _with_and_without(title: str, picture: Picture, text: str) -> Iterator[tuple[Message, ...]]:
    (turn,) = shown(title, picture, text)
    yield (turn,)
    yield (replace(turn, pictures=()),)


def _gains(engine: Engine, prompts: Sequence[tuple[Message, ...]], texts: Sequence[str]) -> list[float]:
    """The differences of the mean log-likelihoods of each text behind its two prompts."""
    scores = engine.score(prompts, [text for text in texts for _ in range(2)]) if prompts else []
    means = [sum(tokens) / max(1, len(tokens)) for tokens in scores]
    return [seen - unseen for seen, unseen in zip(means[::2], means[1::2], strict=True)]


# ---------------------------------------------------------------- asking


def _samples(
    engine: Engine,
    pictures: Sequence[tuple[str, Picture]],
    task: str,
    config: PictureConfig,
    seed: int,
    progress: Progress | None,
) -> list[list[str]]:
    prompts = [shown(title, picture, task) for title, picture in pictures for _ in range(config.samples)]
    texts = _texts(engine, prompts, config.sampling(config.max_tokens, seed), progress)
    return [texts[i : i + config.samples] for i in range(0, len(texts), config.samples)]


def _texts(
    engine: Engine,
    prompts: Sequence[tuple[Message, ...]],
    sampling: Sampling,
    progress: Progress | None,
    adapter: LoraAdapter | None = None,
) -> list[str]:
    completions = engine.generate(prompts, sampling, [adapter] * len(prompts), progress) if prompts else []
    return [without_reasoning(completion.text).strip() for completion in completions]


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0].strip() if lines else ""
