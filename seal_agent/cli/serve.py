"""`seal serve`: the OpenAI-compatible server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seal_agent.cli import console
from seal_agent.cli.options import EngineOptions, Home, Json, ModelOptions, RecipeName, Seed, print_json

EXAMPLE = (
    "Example: SEAL_ADMIN_KEY=$(openssl rand -hex 24) seal serve --port 8000   then: "
    "curl 127.0.0.1:8000/v1/models   (docs/serve.md)"
)


def serve(
    model_options: ModelOptions,
    engine_options: EngineOptions,
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    name: Annotated[
        str | None, typer.Option(help="What the base model is called. \\[default: the last part of its name or hub id]")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the key that clients send. \\[default: $SEAL_API_KEY; none: no key]")
    ] = None,
    admin_key_file: Annotated[
        Path | None,
        typer.Option(help="File with the key of those who change adapters. \\[default: $SEAL_ADMIN_KEY; none: off]"),
    ] = None,
    recipe: RecipeName = None,
    home: Home = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Serve the base model and the adapters over OpenAI's HTTP interface, until Ctrl-C or SIGTERM."""
    from seal_agent.integrations.keys import ADMIN_KEY, API_KEY, Keys, check_binding, key_from
    from seal_agent.integrations.server.app import Settings
    from seal_agent.integrations.server.models import public_name
    from seal_agent.integrations.server.run import serve as run

    keys = Keys(key_from(API_KEY, api_key_file), key_from(ADMIN_KEY, admin_key_file))
    check_binding(host, keys.api)  # before the model is loaded
    seal = model_options.load(home, seed, engine_options=engine_options, recipe=recipe)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
    name = name or public_name(seal.base)
    if as_json:
        print_json(address=address, model=name, adapters=list(seal.adapters()), admin=keys.admin is not None)
    else:
        console.err.print(f"serving {name} at {address}; Ctrl-C ends", markup=False, soft_wrap=True)
    run(seal, host, port, Settings(keys=keys, name=name, listens_on=host))
