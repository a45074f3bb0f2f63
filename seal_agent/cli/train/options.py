"""Options of `seal train` that say how self-edits are searched for, written and rewarded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seal_agent.cli.options import GraderOptions, configured
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.config import OuterLoopConfig


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How many contexts, self-edits and seeds a round tries, and which self-edits are kept."""

    rounds: Annotated[int, typer.Option(help="Times that the policy learns.")] = 2
    contexts: Annotated[int, typer.Option(help="Passages looked at in each round.")] = 50
    edits: Annotated[int, typer.Option(help="Self-edits written about each passage.")] = 5
    seeds: Annotated[int, typer.Option(help="Adapters trained on each self-edit.")] = 3
    keep: Annotated[int, typer.Option(help="Self-edits of each passage kept at most.")] = 1
    guard: Annotated[int, typer.Option(help="Passages of other titles whose loss costs reward.")] = 0
    fresh_contexts: Annotated[bool, typer.Option("--fresh-contexts", help="Other passages in every round.")] = False
    measure_last: Annotated[bool, typer.Option("--measure-last", help="Try the last policy's self-edits too.")] = False
    archive: Annotated[
        bool,
        typer.Option("--archive", help="Start a round from any policy so far, drawn by what came of it and its like."),
    ] = False


@dataclass(frozen=True, slots=True)
class EditOptions:
    """How self-edits are written and trained on. Options that are not given keep the paper's recipe."""

    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            help="A name of `seal recipes`, a TOML file, or a run of `seal tune`, of what a policy can write; the "
            "options below change it. \\[default: paper; of ARC: default]",
        ),
    ] = None
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="implications, implications-long, rewrite, self-qa or a .txt file; several make a mix. "
            "\\[default: implications]",
        ),
    ] = None
    temperature: Annotated[float | None, typer.Option(help="Temperature of self-edits. \\[default: 1.0]")] = None
    epochs: Annotated[int | None, typer.Option(help="Passes over a self-edit.")] = None
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate on a self-edit.")] = None

    def config(self, search: SearchOptions, arc: str | None, seed: int) -> OuterLoopConfig:
        """The outer loop's config. Raises InputError for options that ARC's self-edits choose themselves."""
        from seal_agent.config import OuterLoopConfig, recipe_named

        if arc and (self.formats or self.epochs or self.learning_rate or self.temperature):
            raise InputError(
                "a self-edit about a task of ARC chooses its own training; leave --format, --epochs, --learning-rate "
                "and --temperature out"
            )
        recipe = recipe_named(self.recipe or ("default" if arc else "paper"))
        if recipe.mode != "self_edit" or recipe.policy or recipe.inner_loop.full:
            raise InputError(
                f"a policy cannot be taught by the recipe {self.recipe}; use one by which the base model writes notes "
                "and an adapter learns them, such as paper or implications"
            )
        inner_loop = recipe.arc_inner_loop if arc else recipe.inner_loop
        formats = tuple(self.formats) if self.formats else None
        return OuterLoopConfig(
            **asdict(search),
            self_edit=configured(
                OuterLoopConfig().self_edit if arc else recipe.self_edit, formats=formats, temperature=self.temperature
            ),
            inner_loop=configured(inner_loop, epochs=self.epochs, learning_rate=self.learning_rate),
            seed=seed,
        )


@dataclass(frozen=True, slots=True)
class RewardOptions:
    """How self-edits are rewarded."""

    reward: Annotated[
        str,
        typer.Option(
            help="questions (of the data; of ARC: solved or not), cells (of ARC: the share that is right), votes (its "
            "own questions, no labels), or rubric (by --judge-model, or else the model itself; nothing trained)."
        ),
    ] = "questions"
    teacher: Annotated[
        str,
        typer.Option(help="Of votes, whose commonest answer counts: itself (the adapted model's), or base (fixed)."),
    ] = "itself"
    curriculum: Annotated[
        float, typer.Option(help="Of votes, the share of its own questions that counts: those most agreed upon.")
    ] = 1.0
    early_stop: Annotated[
        bool,
        typer.Option("--early-stop", help="Of votes: end well where the model collapses, with the policy before."),
    ] = False

    @property
    def only_for_votes(self) -> bool:
        """Whether an option is given that means something for votes alone."""
        return self.teacher != "itself" or self.curriculum != 1 or self.early_stop


def check_agent(
    search: SearchOptions, edits: EditOptions, rewards: RewardOptions, grader: GraderOptions, report_to: str | None
) -> None:
    """Refuse options that say nothing to an agent. Raises InputError."""
    others = {field.name for field in fields(SearchOptions)} - {"rounds"}
    given = [name for name in sorted(others) if getattr(search, name) != getattr(SearchOptions(), name)]
    given += [
        field.name.replace("formats", "format")
        for field in fields(EditOptions)
        if getattr(edits, field.name) is not None
    ]
    given += ["reward"] * (rewards != RewardOptions()) + ["grader"] * (grader.grader != GraderOptions().grader)
    given += ["report-to"] * bool(report_to)
    if given:
        raise InputError(f"--{given[0].replace('_', '-')} is not for --agent; leave it out")


def check_pictures(groups: Sequence[Any], others: Mapping[str, object]) -> None:
    """Refuse options that say nothing to votes about pictures. Raises InputError.

    Args:
        groups: Groups of options, of which only --rounds and --reward mean something.
        others: Further options, by name.
    """
    given = [
        field.name.replace("formats", "format")
        for group in groups
        for field in fields(group)
        if field.name not in ("rounds", "reward") and getattr(group, field.name) != getattr(type(group)(), field.name)
    ]
    given += [name for name, value in others.items() if value]
    if given:
        raise InputError(f"--{given[0].replace('_', '-')} is not for --pictures; leave it out")
