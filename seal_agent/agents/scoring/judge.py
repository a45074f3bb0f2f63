"""A judge model behind an OpenAI-compatible endpoint as scorer."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from seal_agent.agents.scoring.scorer import Attempt, step_prompt
from seal_agent.grading.endpoint import JudgeEndpoint
from seal_agent.text.reasoning import without_reasoning

_REPLY = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
OPENAI = "https://api.openai.com/v1"


class JudgeScorer:
    """Asks a judge whether a call is right: 1 for yes, 0 for no, None for a reply that fails or cannot be read.

    Args:
        model: The model's name at the endpoint.
        base_url: The endpoint's address without `/chat/completions`.
        api_key_env: The environment variable that holds the key.
        cache: A SQLite file of verdicts; no prompt in it is asked again.

    Raises InputError for a base_url that is not http(s).
    """

    def __init__(
        self,
        model: str,
        base_url: str = OPENAI,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        cache: str | os.PathLike[str] | None = None,
        retries: int = 5,
    ) -> None:
        self.name = f"judge:{model}"
        self._endpoint = JudgeEndpoint(model, base_url, api_key_env=api_key_env, cache=cache, retries=retries)

    def score(self, attempts: Sequence[Attempt]) -> list[float | None]:
        prompts = [step_prompt("judge-step", attempt) for attempt in attempts]
        judgements = self._endpoint.ask_all(prompts, _parse_reply)
        return [None if judgement.said is None else float(judgement.said == "yes") for judgement in judgements]


def _parse_reply(reply: str) -> str | None:
    match = _REPLY.match(without_reasoning(reply))
    return match[1].casefold() if match else None
