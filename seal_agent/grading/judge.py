"""A judge model behind an OpenAI-compatible endpoint as grader."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from seal_agent.errors import JudgeWarning
from seal_agent.grading.endpoint import JudgeEndpoint, JudgeUsage
from seal_agent.grading.grader import GradingItem
from seal_agent.prompts import fill, load_prompt
from seal_agent.text.reasoning import without_reasoning
from seal_agent.types import Verdict

_REPLY = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


class JudgeGrader:
    """Asks a judge model whether an answer says what a gold answer says. Implements BatchGrader.

    A judgement that fails or cannot be read is UNGRADED, never WRONG, and is not cached; a JudgeWarning says why, once.

    Args:
        model: the model's name at the endpoint.
        base_url: the endpoint's address without `/chat/completions`.
        api_key_env: the environment variable that holds the key; no key is sent if it is unset.
        concurrency: how many requests `grade_all` sends at once.
        timeout: seconds that one attempt may take.
        retries: attempts after the first.
        pause: seconds before the first retry; later pauses grow.
        cache: a SQLite file of verdicts; no prompt in it is asked again.
        prices: dollars per million prompt tokens and per million completion tokens.

    Raises InputError for a base_url that is not http(s), or a concurrency below 1.
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
        self._told = set[str]()

    @property
    def usage(self) -> JudgeUsage:
        """Counts, tokens, seconds and dollars so far."""
        return self._endpoint.usage

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        if not any(gold.strip() for gold in golds):
            return Verdict.UNGRADED
        if not answer.strip():
            return Verdict.WRONG
        prompt = fill(
            self._template, question=question, golds=json.dumps(list(golds), ensure_ascii=False), answer=answer
        )
        judgement = self._endpoint.ask(prompt, _parse_reply)
        if judgement.said is not None:
            return Verdict(judgement.said)
        self._warn(judgement.failure)
        return Verdict.UNGRADED

    def _warn(self, failure: str) -> None:
        """Say once why there is no verdict."""
        if failure not in self._told:
            self._told.add(failure)
            message = f"the judge {self.model!r} gave no verdict, and such answers are not graded: {failure}"
            warnings.warn(message, JudgeWarning, stacklevel=3)

    def grade_all(self, items: Sequence[GradingItem]) -> list[Verdict]:
        """Verdicts on (question, golds, answer) in order, `concurrency` of them at a time."""
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(lambda item: self.grade(*item), items))


def _parse_reply(reply: str) -> str | None:
    """The verdict as the cache stores it; None if the reply begins with neither yes nor no."""
    match = _REPLY.match(without_reasoning(reply))
    return None if match is None else (Verdict.CORRECT if match[1].casefold() == "yes" else Verdict.WRONG).value
