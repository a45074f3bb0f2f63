"""The SDK's client against the server: in memory, over stdio, and over HTTP with a key."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitResult
from served import API_KEY, PASSAGE, QUICK

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.integrations.keys import Keys
from seal_agent.integrations.mcp.run import http_app, serve_http
from seal_agent.integrations.mcp.tools import Teaching, create_server
from seal_agent.model import SelfAdaptingModel

TEXT = "Tarnby Light stands on Ossel."
QUICKLY = Teaching(PASSAGE, QUICK, gate=None)
MODES = ["auto", "legacy"]


@pytest.fixture
def seal(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path / "home")


def person(answer: str, asked: list[str]) -> Callable[..., Any]:
    """A user who answers every question alike."""

    async def elicit(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        if answer == "decline":
            return ElicitResult(action="decline")
        return ElicitResult(action="accept", content={"approve": answer == "yes"})

    return elicit


async def test_only_reading_is_offered(seal: SelfAdaptingModel) -> None:
    async with Client(create_server(seal)) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"ask", "history"}
        answer = await client.call_tool("ask", {"question": "Who keeps the light?"})
        assert answer.structured_content
        assert answer.structured_content["answer"] == seal.ask("Who keeps the light?")
        assert answer.structured_content["from_adapter"] is False
        empty = await client.call_tool("history", {})
        assert empty.structured_content == {"active": None, "revisions": [], "forgotten": []}
        refused = await client.call_tool("ask", {"question": "  "})
        assert refused.is_error
        assert "the question is empty" in refused.content[0].text  # type: ignore[union-attr]


async def test_no_client_waits_for_a_reader(seal: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an adapter came without one, the answer is the sentence."""
    seal.adapt(TEXT, title="Tarnby", self_edit=PASSAGE, inner_loop=QUICK, gate=None)
    monkeypatch.setitem(seal.base.memo, "reader shipped", None)
    monkeypatch.delitem(seal.base.memo, "reader")
    async with Client(create_server(seal)) as client:
        answer = await client.call_tool("ask", {"question": "Where does Tarnby Light stand?", "title": "Tarnby"})
    assert not answer.is_error, answer.content
    assert "reader" not in seal.base.memo


@pytest.mark.parametrize("mode", MODES)
async def test_a_text_is_learnt_with_approval_shown_and_undone(seal: SelfAdaptingModel, mode: str) -> None:
    asked: list[str] = []
    steps: list[str] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        steps.append(message or "")

    server = create_server(seal, "alice", allow_writes=True, teaching=QUICKLY)
    async with Client(server, mode=mode, elicitation_callback=person("yes", asked)) as client:
        learnt = await client.call_tool("remember", {"text": TEXT, "title": "Tarnby"}, progress_callback=progress)
        assert not learnt.is_error, learnt.content
        assert learnt.structured_content
        revision = learnt.structured_content["revision"]
        assert seal.ledger.active("alice") == revision
        assert TEXT in asked[0]
        assert any("train" in step for step in steps)
        read = await client.read_resource(f"seal://revisions/{revision}")
        provenance = json.loads(read.contents[0].text)  # type: ignore[union-attr]
        assert provenance["context"]["text"] == TEXT
        history = json.loads((await client.read_resource("seal://history")).contents[0].text)  # type: ignore[union-attr]
        assert [row["revision"] for row in history["revisions"]] == [revision]
        assert "base model" in str((await client.call_tool("rollback", {})).content)
        assert (await client.call_tool("rollback", {})).is_error
        assert not (await client.call_tool("forget", {"revision": revision})).is_error
        with pytest.raises(MCPError):
            await client.read_resource(f"seal://revisions/{revision}")
    assert len(asked) == 4
    assert not seal.history("alice")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("answer", ["no", "decline"])
async def test_a_no_changes_nothing(seal: SelfAdaptingModel, answer: str, mode: str) -> None:
    asked: list[str] = []
    server = create_server(seal, "alice", allow_writes=True, teaching=QUICKLY)
    async with Client(server, mode=mode, elicitation_callback=person(answer, asked)) as client:
        refused = await client.call_tool("remember", {"text": TEXT})
    assert refused.is_error
    assert asked
    assert not seal.adapters()


async def test_without_a_person_to_ask_a_text_is_quarantined(seal: SelfAdaptingModel) -> None:
    server = create_server(seal, "alice", allow_writes=True, teaching=QUICKLY)
    async with Client(server) as client:
        learnt = await client.call_tool("remember", {"text": TEXT})
    assert learnt.structured_content
    assert learnt.structured_content["status"] == "quarantined"
    assert seal.ledger.active("alice") is None


async def test_other_adapters_are_not_there(seal: SelfAdaptingModel) -> None:
    other = seal.adapt(TEXT, adapter="bob", self_edit=PASSAGE, inner_loop=QUICK, gate=None)
    async with Client(create_server(seal, "alice", allow_writes=True)) as client:
        refused = await client.call_tool("forget", {"revision": other.id})
        assert refused.is_error
        with pytest.raises(MCPError):
            await client.read_resource(f"seal://revisions/{other.id}")
    assert seal.ledger.active("bob") == other.id


async def test_no_client_learns_other_adapters_names_or_where_the_store_lies(
    seal: SelfAdaptingModel,
) -> None:
    other = seal.adapt(TEXT, adapter="bob", self_edit=PASSAGE, inner_loop=QUICK, gate=None)
    seal.adapt(TEXT, adapter="default", self_edit=PASSAGE, inner_loop=QUICK, gate=None)
    server = create_server(seal, "alice", allow_writes=True, teaching=Teaching(PASSAGE, QUICK, None, trust_client=True))
    async with Client(server) as client:
        new = await client.call_tool("ask", {"question": "Who keeps the light?"})
        said = [str(new), str(await client.call_tool("history", {}))]
        said += [str(await client.call_tool("rollback", {"to": to})) for to in ("", "base", other.id, "none")]
        learnt = await client.call_tool("remember", {"text": TEXT})
        refused = [await client.call_tool("rollback", {"to": to}) for to in (other.id, "none")]
        shutil.rmtree(seal.home / "adapters")
        seal._loaded.drop([*seal._loaded])
        broken = await client.call_tool("ask", {"question": "Who keeps the light?"})
    assert new.structured_content
    assert new.structured_content["answer"] == SelfAdaptingModel(seal.base, home=seal.home / "new").ask(
        "Who keeps the light?"
    )
    assert new.structured_content["from_adapter"] is False
    assert not learnt.is_error
    assert all(answer.is_error for answer in (*refused, broken))
    for text in (*said, *map(str, (*refused, broken))):
        assert "bob" not in text
        assert str(seal.home) not in text
    assert seal.ledger.active("bob") == other.id


async def test_what_is_quarantined_is_shown_and_can_be_forgotten(seal: SelfAdaptingModel) -> None:
    server = create_server(seal, "alice", allow_writes=True, teaching=QUICKLY)
    async with Client(server) as client:
        learnt = await client.call_tool("remember", {"text": TEXT})
        assert learnt.structured_content
        revision = learnt.structured_content["revision"]
        shown = await client.call_tool("history", {})
        assert shown.structured_content
        assert [row["revision"] for row in shown.structured_content["revisions"]] == [revision]
        assert (await client.read_resource(f"seal://revisions/{revision}")).contents
    async with Client(server, elicitation_callback=person("yes", [])) as client:
        assert not (await client.call_tool("forget", {"revision": revision})).is_error
    assert not seal.history("alice")


@pytest.mark.parametrize("trusted", [False, True])
async def test_without_a_person_to_ask_nothing_is_forgotten(seal: SelfAdaptingModel, trusted: bool) -> None:
    revision = seal.adapt(TEXT, adapter="alice", self_edit=PASSAGE, inner_loop=QUICK, gate=None)
    teaching = Teaching(PASSAGE, QUICK, None, trust_client=trusted)
    async with Client(create_server(seal, "alice", allow_writes=True, teaching=teaching)) as client:
        answer = await client.call_tool("forget", {"revision": revision.id})
    assert answer.is_error == (not trusted)
    assert ("--trust-client" in str(answer.content)) == (not trusted)
    assert bool(seal.history("alice")) == (not trusted)


async def test_a_handle_serves_its_own_adapter(seal: SelfAdaptingModel) -> None:
    handle = seal.in_namespace(("acme", "alice"))
    server = create_server(handle, allow_writes=True, teaching=Teaching(PASSAGE, QUICK, None, trust_client=True))
    async with Client(server) as client:
        learnt = await client.call_tool("remember", {"text": TEXT})
        assert not learnt.is_error, learnt.content
        answer = await client.call_tool("ask", {"question": "Who keeps the light?"})
        shown = await client.call_tool("history", {})
        assert not (await client.call_tool("rollback", {})).is_error
    assert learnt.structured_content
    assert answer.structured_content
    assert shown.structured_content
    revision = learnt.structured_content["revision"]
    assert (answer.structured_content["revision"], shown.structured_content["active"]) == (revision, revision)
    assert seal.adapters() == {"acme.alice": None}


async def test_over_stdio(tiny_base: BaseModel, save_model: Any, tmp_path: Path) -> None:
    folder = save_model(tiny_base, tmp_path / "model")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "OMP_NUM_THREADS": "1",
        "SEAL_CACHE": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "1",
    }
    arguments = ["--model", str(folder), "--dtype", "float32", "--home", str(tmp_path / "home")]
    code = "import sys; sys.argv[0] = 'seal'; from seal_agent.cli.app import main; main()"
    started = StdioServerParameters(command=sys.executable, args=["-c", code, "mcp", *arguments], env=environment)
    async with Client(started, read_timeout_seconds=300) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"ask", "history"}
        answer = await client.call_tool("ask", {"question": "Who keeps the light?"})
    assert answer.structured_content
    assert answer.structured_content["answer"] == SelfAdaptingModel(tiny_base, home=tmp_path / "own").ask(
        "Who keeps the light?"
    )


async def test_over_http_with_a_key(seal: SelfAdaptingModel) -> None:
    app = http_app(create_server(seal), Keys(API_KEY), "127.0.0.1")
    running = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        assert thread.is_alive()
        time.sleep(0.01)
    url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/mcp"
    try:
        async with httpx2.AsyncClient() as plain:
            assert (await plain.post(url, json={})).status_code == 401
        keyed = httpx2.AsyncClient(headers={"authorization": f"Bearer {API_KEY}"}, timeout=60)
        async with keyed, Client(streamable_http_client(url, http_client=keyed)) as client:
            answer = await client.call_tool("ask", {"question": "Who keeps the light?"})
        assert answer.structured_content
        assert answer.structured_content["answer"] == seal.ask("Who keeps the light?")
    finally:
        running.should_exit = True
        thread.join(30)


def test_http_elsewhere_needs_a_key(seal: SelfAdaptingModel) -> None:
    with pytest.raises(InputError, match="no key is set"):
        serve_http(create_server(seal), "0.0.0.0", 0, Keys())
