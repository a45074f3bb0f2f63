"""`seal serve --engine vllm`: vLLM batches what clients ask at once, each row with its own adapter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from served import FACTS, PLAIN, QUESTION, serving, teach_facts

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.vllm.engine import VLLMEngine
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Message, Sampling


def test_clients_at_once_each_get_their_own_adapter(tiny: BaseModel, local: VLLMEngine, tmp_path: Path) -> None:
    seal = SelfAdaptingModel(tiny, home=tmp_path, engine=local)
    teach_facts(seal)
    turns = (Message("user", QUESTION),)
    (untaught,) = HFEngine(tiny).generate([turns], Sampling(max_tokens=16))
    with serving(seal) as served:
        client = served.openai()
        base, *taught = (model.id for model in client.models.list())
        assert taught == sorted(FACTS)

        def ask(i: int) -> tuple[str, str]:
            name, streamed = [*FACTS, base][i % 5], i % 2 == 1
            body = {"model": name, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 16}
            if streamed:
                pieces = client.chat.completions.create(**body, stream=True, extra_body=PLAIN)  # type: ignore[call-overload]
                return name, "".join(piece.choices[0].delta.content or "" for piece in pieces)
            answer = client.chat.completions.create(**body, extra_body=PLAIN)  # type: ignore[call-overload]
            return name, answer.choices[0].message.content or ""

        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(ask, range(20)))
    assert {(name, text) for name, text in answers if name != base} == set(FACTS.items())
    assert {text for name, text in answers if name == base} == {untaught.text}
