"""`seal mcp`: the server for the Model Context Protocol."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from seal_agent.cli import console
from seal_agent.cli.options import Adapter, EngineOptions, Home, ModelOptions, RecipeName, Seed, print_json

EXAMPLE = "Example: seal mcp --adapter work --allow-writes   (docs/serve.md has the lines for a client)"


def mcp(
    model_options: ModelOptions,
    engine_options: EngineOptions,
    adapter: Adapter = "default",
    allow_writes: Annotated[bool, typer.Option("--allow-writes", help="Offer remember, rollback and forget.")] = False,
    trust_client: Annotated[
        bool,
        typer.Option("--trust-client", help="Do not quarantine texts, and forget, where no person can be asked."),
    ] = False,
    http: Annotated[bool, typer.Option("--http", help="Streamable HTTP at /mcp in place of stdio.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8001,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the key that clients send. \\[default: $SEAL_API_KEY; none: no key]")
    ] = None,
    recipe: RecipeName = None,
    home: Home = None,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a client's configuration for this, and end.")] = False,
) -> None:
    """Serve one adapter to agents over MCP: ask, history; with --allow-writes remember, rollback, forget."""
    from seal_agent.store.names import check_name

    check_name(adapter)
    if as_json:
        arguments = [argument for argument in sys.argv[1:] if argument != "--json"]
        return print_json(mcpServers={"seal": {"command": "seal", "args": arguments}})
    from seal_agent.integrations.keys import API_KEY, Keys, check_binding, key_from
    from seal_agent.integrations.mcp.run import serve_http, serve_stdio
    from seal_agent.integrations.mcp.tools import Teaching, create_server

    keys = Keys(key_from(API_KEY, api_key_file)) if http else Keys()
    if http:
        check_binding(host, keys.api)
    seal = model_options.load(home, seed, engine_options=engine_options, recipe=recipe)
    teaching = Teaching(trust_client=trust_client)
    server = create_server(seal, adapter, allow_writes=allow_writes, teaching=teaching)
    if not http:
        return serve_stdio(server)
    console.err.print(f"MCP at http://{host}:{port}/mcp; Ctrl-C ends", markup=False, soft_wrap=True)
    return serve_http(server, host, port, keys)
