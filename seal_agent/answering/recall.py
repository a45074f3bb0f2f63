"""What an adapter recalls when it is asked: its likeliest sentence, and others that are nearly as likely.

The first token decides which sentence of a passage comes, so each likely first token is followed to the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import TooLongError
from seal_agent.generation.engine import Engine
from seal_agent.generation.rows import ids_of
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.prompts import question_prompt
from seal_agent.text.reasoning import without_reasoning
from seal_agent.types import Message, Picture, Prompt, Sampling

BRANCHES = 4  # first tokens that are followed; measured: the right sentence is among four for nearly every question
COMMON = 1.8  # tokens per character relative to English that ask for no more room; 99 % of SQuAD's questions have less
ENGLISH = "The first keeper of the lighthouse was a fisherman from the village, who lived there for thirty years."
LONGEST = 512  # tokens of a sentence that is recalled, in any script; not tuned
LEAST = 0.02  # least probability of a first token that is followed; not tuned


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: the prompt that puts it to a model, its own words for the reader, and the adapter that is asked."""

    prompt: Prompt
    question: str
    title: str = ""
    adapter: LoraAdapter | None = None


@dataclass(frozen=True, slots=True)
class Recalled:
    """A text that the adapter answers with: the log-probability of its first token, and the mean of all, in nats.

    `cut` is whether it had no room for more.
    """

    text: str
    first: float
    mean: float
    cut: bool = False


def closed_book(title: str, question: str, adapter: LoraAdapter | None, pictures: tuple[Picture, ...] = ()) -> Asked:
    """A question under its title, as the adapter was taught it; or about pictures in view."""
    return Asked((Message("user", question_prompt(title, question), pictures=pictures),), question, title, adapter)


def room_for(base: BaseModel, asked: Asked, tokens: int) -> int:
    """How many tokens a recalled sentence may take, by the script of question and title."""
    return room_beside(base, f"{asked.title} {asked.question}".strip(), tokens)


def room_beside(base: BaseModel, text: str, tokens: int) -> int:
    """How many tokens an answer may take: more where the tokenizer cuts the script of a text into bytes.

    Sixty tokens are a long sentence in English, and eight words in Hindi. The room is doubled as often as the tokens
    per character of the text ask for, relative to English, up to `LONGEST`.
    """
    if "english density" not in base.memo:
        base.memo["english density"] = _density(base, ENGLISH)
    density = _density(base, text) / base.memo["english density"]
    room = tokens
    while density > COMMON and room < LONGEST:
        density, room = density / 2, 2 * room
    return min(room, max(tokens, LONGEST))


def _density(base: BaseModel, text: str) -> float:
    return len(base.content_ids(text)) / max(1, len(text))


def recall_in_full(
    engine: Engine, base: BaseModel, asked: Sequence[Asked], sampling: Sampling, progress: Progress | None = None
) -> list[tuple[Recalled, ...]]:
    """What `recall` gives, with room for a sentence in the script of each question; one batch for each size of room.

    Where the likeliest text was cut all the same, it is recalled again with twice the room, as far as the window goes.
    """
    left = [max(1, left_in_window(base, one.prompt, one.adapter)) for one in asked]
    rooms = {i: min(room_for(base, one, sampling.max_tokens), left[i]) for i, one in enumerate(asked)}
    found = _recall_in(engine, asked, rooms, sampling, progress)
    wider = {i: min(2 * rooms[i], max(rooms[i], LONGEST), left[i]) for i, texts in found.items() if texts[0].cut}
    wider = {i: room for i, room in wider.items() if room > rooms[i]}
    with suppress(TooLongError):  # an engine's window may be smaller than the model's
        found |= _recall_in(engine, asked, wider, sampling, progress)
    return [found[i] for i in range(len(asked))]


def _recall_in(
    engine: Engine, asked: Sequence[Asked], rooms: Mapping[int, int], sampling: Sampling, progress: Progress | None
) -> dict[int, tuple[Recalled, ...]]:
    """What is recalled of some of the questions, by their places, each with its own room."""
    found: dict[int, tuple[Recalled, ...]] = {}
    for room in sorted(set(rooms.values())):
        places = [i for i, own in rooms.items() if own == room]
        texts = recall(engine, [asked[i] for i in places], replace(sampling, max_tokens=room), progress)
        found.update(zip(places, texts, strict=True))
    return found


def left_in_window(base: BaseModel, prompt: Prompt, adapter: LoraAdapter | None = None) -> int:
    """How many tokens of the model's window a prompt leaves for its answer; 0 or fewer where it leaves none."""
    return base.window - len(ids_of(base, prompt, adapter))


def limit_in_window(base: BaseModel, prompt: Prompt, adapter: LoraAdapter | None, tokens: int) -> int:
    """So many tokens of an answer, or as many as the window leaves where that is fewer; at least 1."""
    return max(1, min(tokens, left_in_window(base, prompt, adapter)))


def recall(
    engine: Engine, asked: Sequence[Asked], sampling: Sampling, progress: Progress | None = None
) -> list[tuple[Recalled, ...]]:
    """What the adapter of each question recalls, the likeliest first, no text twice; at least one."""
    prompts, adapters = [one.prompt for one in asked], [one.adapter for one in asked]
    branches = engine.branches(prompts, sampling, BRANCHES, adapters, progress, least=LEAST)
    found: list[tuple[Recalled, ...]] = []
    for completions in branches:
        by_text: dict[str, Recalled] = {}
        for completion in completions:
            text, logprobs = without_reasoning(completion.text).strip(), completion.logprobs or (0.0,)
            cut = completion.finish_reason == "length"
            by_text.setdefault(text, Recalled(text, logprobs[0], sum(logprobs) / len(logprobs), cut))
        found.append(tuple(by_text.values()))
    return found
