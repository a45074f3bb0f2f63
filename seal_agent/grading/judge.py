"""A model behind an OpenAI-compatible endpoint as grader."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from seal_agent.grading.endpoint import JudgeEndpoint, JudgeUsage
from seal_agent.grading.grader import Graded
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import Verdict

_REPLY = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


class JudgeGrader:
    """Asks a model whether an answer says what a gold answer says. Implements Grader.

    `base_url` is that of any OpenAI-compatible endpoint, up to and without `/chat/completions`; the key is read from
    the environment variable `api_key_env`, and none is sent if that is unset. `prices` are dollars per million prompt
    and completion tokens. With `cache`, a file, every reply is kept and nothing is asked twice. A judgement that fails
    after `retries` attempts with growing pauses, or that cannot be read, is UNGRADED, never WRONG, and not kept.

    Raises InputError for a base_url that is not http(s), or fewer than one request at once.
    """

    def __init__(
        self,
        model: str,
        base_url: str = "https://api.openai.com/v1",
        *,
        api_key_env: str = "OPENAI_API_KEY",
        concurrency: int = 8,
        timeout: float = 60.0,
        retries: int = 5,
        pause: float = 0.5,
        cache: str | os.PathLike[str] | None = None,
        prices: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._endpoint = JudgeEndpoint(
            model,
            base_url,
            api_key_env=api_key_env,
            concurrency=concurrency,
            timeout=timeout,
            retries=retries,
            pause=pause,
            cache=cache,
            prices=prices,
        )
        self.model, self.concurrency, self.timeout, self.prices = model, concurrency, timeout, prices
        self._template = load_prompt("judge")

    @property
    def usage(self) -> JudgeUsage:
        """Counts, tokens, seconds and dollars since this grader was made."""
        return self._endpoint.usage

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        if not any(gold.strip() for gold in golds):
            return Verdict.UNGRADED
        if not answer.strip():
            return Verdict.WRONG
        prompt = fill(
            self._template, question=question, golds=json.dumps(list(golds), ensure_ascii=False), answer=answer
        )
        said = self._endpoint.ask(prompt, _understand).said
        return Verdict(said) if said is not None else Verdict.UNGRADED

    def grade_all(self, items: Sequence[Graded]) -> list[Verdict]:
        """Verdicts on (question, golds, answer) in order, `concurrency` of them at a time."""
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(lambda item: self.grade(*item), items))


def _understand(reply: str) -> str | None:
    found = _REPLY.match(reply)
    return None if found is None else (Verdict.CORRECT if found[1].casefold() == "yes" else Verdict.WRONG).value
