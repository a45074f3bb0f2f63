"""What other programs need of this one: `seal eval` and `seal tasks` for lm-eval, `seal weights` for vLLM."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seal_agent.cli.options import Json, Model, print_json

EVAL_EXAMPLE = "Example: seal eval --model_args pretrained=default,mode=passage --tasks seal_novel --limit 12"
TASKS_EXAMPLE = 'Example: lm_eval --model seal --include_path "$(seal tasks)" --tasks seal_novel'
WEIGHTS_EXAMPLE = 'Example: vllm serve "$(seal weights)" --enable-lora --max-lora-rank 32'
PASS_THROUGH: dict[str, Any] = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def tasks(as_json: Json = False) -> None:
    """Print the folder of the lm-eval tasks."""
    from seal_agent.integrations.lm_eval.tasks import tasks_folder

    folder = tasks_folder()
    if as_json:
        print_json(folder=str(folder), tasks=sorted(p.name for p in folder.iterdir() if (p / "README.md").is_file()))
    else:
        typer.echo(folder)


def weights(model: Model = "default", as_json: Json = False) -> None:
    """Print where a model's weights are, for `vllm serve`: a folder, or a hub id."""
    from seal_agent.base_model.loading import resolve

    where = resolve(model)
    if as_json:
        print_json(model=model, weights=where)
    else:
        typer.echo(where)


def recipes(
    name: Annotated[str | None, typer.Argument(help="Of this one, or of a TOML file, every setting.")] = None,
    as_json: Json = False,
) -> None:
    """List the recipes that --recipe knows, or show the settings of one."""
    from dataclasses import asdict

    from seal_agent.config import RECIPES, recipe_named

    found = {name: recipe_named(name)} if name else dict(RECIPES)
    if as_json:
        print_json(**{recipe_name: asdict(recipe) for recipe_name, recipe in found.items()})
    elif name:
        for key, value in asdict(found[name]).items():
            rows = value.items() if isinstance(value, dict) else [("", value)]
            for field, setting in rows:
                typer.echo(f"{key}{'.' if field else ''}{field} = {setting}")
    else:
        for recipe_name, recipe in found.items():
            typer.echo(f"{recipe_name:24}{recipe.summary}")


def evaluate(ctx: typer.Context) -> None:
    """lm-eval with `--model seal` and our tasks; every argument but --json goes to lm_eval as it is."""
    from seal_agent.integrations.lm_eval.command import lm_eval_results, run_lm_eval

    arguments = [argument for argument in ctx.args if argument != "--json"]
    if not arguments or "--help" in arguments or "-h" in arguments:
        typer.echo(f"{evaluate.__doc__}\n--json prints the results as one JSON object.\n{EVAL_EXAMPLE}\n")
        arguments = arguments or ["--help"]
    if len(arguments) == len(ctx.args):
        raise typer.Exit(run_lm_eval(arguments))
    code, results = lm_eval_results(arguments)
    if results:
        print_json(**results)
    raise typer.Exit(code)
