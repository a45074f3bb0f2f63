"""The self-edits of several texts: written, checked, and filled up until each format has its share of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from seal_agent.base_model.model import BaseModel
from seal_agent.config import SelfEditConfig
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.self_edits.checking import check_self_edits_batch
from seal_agent.self_edits.shares import with_equal_shares
from seal_agent.self_edits.writing import TitledPassages, write_self_edits_batch
from seal_agent.types import SelfEdit


def checked_self_edits(
    engine: Engine,
    base: BaseModel,
    titled: Sequence[TitledPassages],
    config: SelfEditConfig,
    *,
    writer: LoraAdapter | None,
    seed: int,
    stage: Callable[[str], AbstractContextManager[Progress | None]],
) -> list[tuple[SelfEdit, ...]]:
    """The self-edits of each title's passages, all in one batch.

    Args:
        writer: The policy that writes; None for the base model.
        stage: Opens a stage of the work by its name, and gives its progress.
    """
    with stage("write self-edits") as report:
        edits = write_self_edits_batch(engine, titled, config, writer=writer, seed=seed, progress=report)
    if config.verify != "off":
        with stage("check self-edits"):
            edits = check_self_edits_batch(engine, titled, edits, config.verify)
    if config.equal_shares:
        with stage("write until shares are equal") as report:
            edits = with_equal_shares(
                engine,
                titled,
                edits,
                config,
                lambda text: len(base.tokens(text)),
                writer=writer,
                seed=seed,
                progress=report,
            )
    return edits
