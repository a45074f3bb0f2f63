"""`seal train --pictures`: votes over a model's own answers about pictures that nobody labelled."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seal_agent.cli import console
from seal_agent.cli.adapt_files import PICTURES, is_picture
from seal_agent.cli.options import print_json
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.model import SelfAdaptingModel
    from seal_agent.outer_loop.picture_votes import VoteRound


@dataclass(frozen=True, slots=True)
class PictureVoteOptions:
    """Pictures without labels, and how the policy learns from votes about them."""

    pictures: Annotated[
        Path | None,
        typer.Option(help="A folder of pictures without labels, for --reward votes and a model that sees."),
    ] = None
    update: Annotated[
        str, typer.Option(help="Of --pictures: grpo (group-relative policy gradient), or best-of-n (finetuning).")
    ] = "grpo"


def learn_from_pictures(
    seal: SelfAdaptingModel, options: PictureVoteOptions, folder: Path, rounds: int, seed: int, as_json: bool
) -> None:
    """Run the rounds in a folder, going on where it was stopped, and say what came of them."""
    from seal_agent.config import PictureVotesConfig
    from seal_agent.images.pictures import as_picture
    from seal_agent.outer_loop.archive.run import Run
    from seal_agent.outer_loop.picture_votes import learn_by_votes
    from seal_agent.store.policies import POLICIES

    config = PictureVotesConfig(rounds=rounds, update=options.update, seed=seed)  # type: ignore[arg-type]
    pictures = [as_picture(path) for path in _files_in(options.pictures)]
    settings = {"votes": asdict(config), "base": seal.base.identity, "pictures": [one.sha256 for one in pictures]}
    run = Run(folder, settings, {"model": seal.base.name})
    try:
        with console.stage_bars(quiet=as_json) as bars:
            results = learn_by_votes(
                seal.base,
                seal.engine,
                pictures,
                config,
                run,
                progress=lambda number, stage, done, total: bars(f"round {number + 1}: {stage}", done, total),
            )
    finally:
        run.close()
    last = results[-1].next_policy
    policy = str(folder / POLICIES / last) if last else None
    if as_json:
        print_json(rounds=[_row(result) for result in results], policy=policy)
        return
    for result in results:
        row = _row(result)
        console.out.print(
            f"round {result.round + 1}: {row['questions']} questions, {row['agreement']:.0%} of the answers agree with "
            f"the vote, {row['learnt']} questions carried a gradient, {row['unreadable']} answers could not be read",
            markup=False,
            soft_wrap=True,
        )
    console.out.print(f"policy: {policy or 'none; no question carried a gradient'}", markup=False, soft_wrap=True)


def _row(result: VoteRound) -> dict[str, float | None]:
    return {
        "round": result.round + 1,
        "questions": len(result.questions),
        "agreement": result.agreement,
        "entropy": result.entropy,
        "learnt": result.learnt,
        "unreadable": result.unreadable,
    }


def _files_in(folder: Path | None) -> list[Path]:
    """The pictures of a folder, by name. Raises InputError where there are none."""
    found = sorted(path for path in folder.iterdir() if is_picture(path)) if folder and folder.is_dir() else []
    if not found:
        raise InputError(f"there are no pictures in {folder}; give a folder with {', '.join(PICTURES)} files")
    return found
