"""What the base model answers and writes: the reference of the gate's checks, made once per model.

The verdicts on the guard questions, and a few texts that the model wrote, half of them in a chat. Those of the bundled
model come with the package; others are kept in the cache folder. The texts are drawn with another seed than those whose
directions `null_space` protects.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from seal_agent.answering.questions import ask_closed_book
from seal_agent.base_model.model import BaseModel
from seal_agent.data import bundled
from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import Grader, grade_all
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.paths import cache_home, keep_in_cache
from seal_agent.progress import Progress
from seal_agent.seeds import derived_seed
from seal_agent.training.retention.reference_text import reference_prompts
from seal_agent.types import Answer, Chat, Illustrated, Message, Prompt, Question, Sampling, Verdict, content_hash

GUARD_TOKENS = 32  # of an answer to a guard question; the answers of the bundled model come within twenty
MOST_UNGRADED = 0.1  # share of the guard questions without a verdict, in a reference that is kept; not tuned
TEXT_TOKENS = 64  # of a reference text; not tuned
SHIPPED = Path(str(resources.files("seal_agent") / "data" / "gate"))
"""The reference of the bundled model: the file that `reference_of` leaves in the cache folder where this one is not."""

STRIDE = 17  # prompts are taken this far apart: odd, so that plain text and chat alternate


@dataclass(frozen=True, slots=True)
class ReferenceText:
    """A prompt, as plain text or as a user's turn in a chat, and what the base model wrote after it."""

    prompt: str
    in_chat: bool
    text: str

    @property
    def as_prompt(self) -> Prompt:
        return (Message("user", self.prompt),) if self.in_chat else self.prompt


@dataclass(frozen=True, slots=True)
class Reference:
    """What the checks compare with: the base model's answers to the guard questions, and texts that it wrote."""

    guard: tuple[Answer, ...]
    texts: tuple[ReferenceText, ...]


_REFERENCE: TypeAdapter[Reference] = TypeAdapter(Reference)


def reference_of(
    engine: Engine, base: BaseModel, grader: Grader, texts: int, progress: Progress | None = None
) -> Reference:
    """The base model's reference: from memory, shipped, from the cache, or made now.

    Args:
        texts: How many texts; 0 for none.
        progress: Called with the answers and texts written.
    """
    questions = bundled.guard_questions()
    key = content_hash([[asdict(question) for question in questions], texts, GUARD_TOKENS, TEXT_TOKENS, STRIDE])[:16]
    memo: dict[tuple[str, str], Reference] = base.memo.setdefault("gate", {})
    place = key, _name_of(grader)
    if place in memo:
        return memo[place]
    name = f"{base.identity[:32]}-{key}-{place[1]}.json"
    path = cache_home() / "gate" / name
    if (found := _read(SHIPPED / name) or _read(path)) is None:
        found = _make(engine, base, grader, questions, texts, progress)
        ungraded = sum(answer.verdict is Verdict.UNGRADED for answer in found.guard)
        if ungraded > MOST_UNGRADED * len(found.guard):
            return found  # the grader may be back next time
        text = json.dumps(json.loads(_REFERENCE.dump_json(found)), ensure_ascii=False)
        keep_in_cache(path, lambda draft: draft.write_text(text, encoding="utf-8"))
    memo[place] = found
    return found


def _name_of(grader: Grader) -> str:
    """Tells graders apart in names of files; judges by their models."""
    judge = getattr(grader, "model", None)
    return type(grader).__name__ + (f"-{content_hash(judge)[:8]}" if isinstance(judge, str) else "")


def ask_guard(engine: Engine, rows: Sequence[tuple[str, LoraAdapter | None]]) -> list[str]:
    """What models themselves answer to guard questions: rows of (question, adapter or None)."""
    return ask_closed_book(engine, [("", text, adapter) for text, adapter in rows], Sampling(GUARD_TOKENS))


def _make(
    engine: Engine,
    base: BaseModel,
    grader: Grader,
    questions: Sequence[Question],
    count: int,
    progress: Progress | None,
) -> Reference:
    answers = ask_guard(engine, [(question.text, None) for question in questions])
    if progress:
        progress(len(questions), len(questions) + count)
    verdicts = grade_all(grader, [(q.text, q.golds, text) for q, text in zip(questions, answers, strict=True)])
    guard = tuple(Answer(*row) for row in zip(questions, answers, verdicts, strict=True))
    candidates = reference_prompts()
    prompts = [candidates[(i * STRIDE) % len(candidates)] for i in range(count)]
    sampling = Sampling(TEXT_TOKENS, temperature=1.0, top_p=0.95, seed=derived_seed(0, "gate"))
    completions = engine.generate(prompts, sampling) if prompts else []
    texts = [_text(prompt, said.text) for prompt, said in zip(prompts, completions, strict=True)]
    return Reference(guard, tuple(text for text in texts if base.content_ids(text.text)))


def _text(prompt: Prompt, text: str) -> ReferenceText:
    if isinstance(prompt, str | Illustrated):
        return ReferenceText(prompt if isinstance(prompt, str) else prompt.text, False, text)
    turns = prompt.turns if isinstance(prompt, Chat) else prompt
    return ReferenceText(turns[-1].content, True, text)


def _read(path: Path) -> Reference | None:
    try:
        return _REFERENCE.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
