"""Options of `seal adapt`, in groups: which recipe, how notes are written and trained, what the gate asks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from seal_agent.cli.options import PolicyName, configured
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.config import GateConfig, InnerLoopConfig, Recipe, SelfEditConfig
    from seal_agent.types import Trust


@dataclass(frozen=True, slots=True)
class RecipeOptions:
    """The settings that the other options change, and who writes the notes."""

    recipe: Annotated[
        str | None,
        typer.Option(
            help="A name of `seal recipes` (default, or paper: as published, for models of 7B, and taken with "
            "--policy), a TOML file, or a folder of `seal tune` or `seal train`; the options below change it."
        ),
    ] = None
    policy: PolicyName = None

    def chosen(self) -> Recipe:
        """The recipe. Raises InputError for one that learns nothing."""
        from seal_agent.config import recipe_named

        recipe = recipe_named(self.recipe or ("paper" if self.policy else "default"))
        if recipe.mode != "self_edit":
            raise InputError(
                f"the recipe {self.recipe} learns nothing; use one that writes notes, such as default or paper"
            )
        if recipe.inner_loop.full:
            raise InputError(
                f"the recipe {self.recipe} trains no adapter that could be kept; it is for `seal bench squad_cpt`"
            )
        return recipe


@dataclass(frozen=True, slots=True)
class NoteOptions:
    """How the model writes its notes. Options that are not given keep the recipe's values."""

    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="passage, implications, implications-long, rewrite, self-qa, sentences, shuffled, cloze, sentence-qa, "
            "evidence, picture-in-view (questions about a picture, with it in view), or a .txt file.",
        ),
    ] = None
    notes: Annotated[int | None, typer.Option(help="Self-edits per format.", min=1)] = None
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature of the notes.")] = None
    verify: Annotated[
        str | None,
        typer.Option(help="Check what the model wrote against the text before training: strict, lenient or off."),
    ] = None
    self_test: Annotated[
        int | None, typer.Option(help="Questions it writes to test itself where --questions gives none; 0 for none.")
    ] = None

    def check(self) -> None:
        """Refuse a format that there is not, before a model is loaded. Raises InputError."""
        from seal_agent.self_edits.formats.registry import check_format

        for name in self.formats or ():
            check_format(name)

    def config(self, recipe: SelfEditConfig) -> SelfEditConfig:
        """The recipe's config with these options."""
        return configured(
            recipe,
            per_format=self.notes,
            formats=tuple(self.formats) if self.formats else None,
            temperature=self.temperature,
            verify=self.verify,
            self_test=self.self_test,
        )


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How the model trains on the notes. Options that are not given keep the recipe's values."""

    targets: Annotated[
        str | None,
        typer.Option(
            help="default, all, vision (layers that see), all+vision, or names such as q_proj,v_proj or "
            "layers.28,layers.29."
        ),
    ] = None
    rank: Annotated[int | None, typer.Option(help="LoRA rank.")] = None
    alpha: Annotated[float | None, typer.Option(help="LoRA alpha.")] = None
    epochs: Annotated[int | None, typer.Option(help="Passes over the notes.")] = None
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None
    openings: Annotated[
        int | None,
        typer.Option(help="Of the format evidence: truncated cues per sentence, which teach its first words."),
    ] = None
    full_answers: Annotated[
        int | None,
        typer.Option(help="Of the format evidence: notes per sentence and epoch that are learnt whole; 0 for all."),
    ] = None
    objective: Annotated[
        str | None,
        typer.Option(help="sft, distill (question-answer pairs, taught by the model with the text), or both."),
    ] = None
    null_space: Annotated[
        float | None,
        typer.Option(help="Share of the directions of reference text that the adapter may not read (0..1)."),
    ] = None
    shrink: Annotated[
        float | None, typer.Option(help="Weight of reference text in the ridge refit after training; 0 for none.")
    ] = None
    max_update: Annotated[
        float | None, typer.Option(help="Largest change of a layer, as a share of its weights' norm.")
    ] = None
    anchors: Annotated[
        int | None, typer.Option(help="Reference texts trained beside the notes, to retain other knowledge.")
    ] = None
    replay: Annotated[
        float | None, typer.Option(help="Sequences of earlier texts for every new one, on an adapter that exists.")
    ] = None

    def config(self, recipe: InnerLoopConfig, seed: int) -> InnerLoopConfig:
        """The recipe's config with these options and the seed."""
        return configured(
            recipe,
            seed=seed,
            targets=tuple(self.targets.split(",")) if self.targets else None,
            rank=self.rank,
            alpha=self.alpha,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            openings=self.openings,
            full_answers=self.full_answers,
            objective=self.objective,
            null_space=self.null_space,
            shrink=self.shrink,
            max_update=self.max_update,
            anchors=self.anchors,
            replay=self.replay,
        )


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What the change must show before it becomes active, and who is asked."""

    minimum_gain: Annotated[
        float | None,
        typer.Option(help="Take the change back unless accuracy on the questions rises by this (0..1), not above 0."),
    ] = None
    no_gate: Annotated[
        bool,
        typer.Option(
            "--no-gate",
            help="Keep the change unchecked: not whether it learned, what it forgot, and how far it drifted.",
        ),
    ] = False
    approve: Annotated[bool, typer.Option("--approve", help="Ask before the change becomes active.")] = False
    untrusted: Annotated[
        bool, typer.Option("--untrusted", help="A stranger may have written it: quarantine what is learned.")
    ] = False

    def check(self) -> None:
        """Raises InputError, before anything is loaded, for options that contradict each other."""
        if self.no_gate and self.minimum_gain is not None:
            raise InputError("--no-gate checks no gain, so that --minimum-gain would do nothing; leave one of them out")
        self.gate()
        if self.approve:
            check_terminal()

    def gate(self) -> GateConfig | None:
        """The bounds of the gate, or None for no gate."""
        from seal_agent.config import GateConfig

        return None if self.no_gate else GateConfig(minimum_gain=self.minimum_gain)

    @property
    def trust(self) -> Trust | None:
        return "untrusted" if self.untrusted else None


def check_terminal() -> None:
    """Raises InputError where --approve would find nobody to ask."""
    if not sys.stdin.isatty():
        raise InputError("--approve asks on the terminal, and standard input is none; leave it out, or name a file")
