"""From a context to a proposal: self-edits written and checked, and a self-test where no questions are given."""

from __future__ import annotations

from seal_agent.adaptation.self_test import write_self_tests
from seal_agent.base_model.model import BaseModel
from seal_agent.config import SelfEditConfig
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import StageClock
from seal_agent.self_edits.checking import check_self_edits
from seal_agent.self_edits.writing import passages_of, write_self_edits
from seal_agent.types import Context, Proposal, Question


def write_proposal(
    engine: Engine,
    base: BaseModel,
    context: Context,
    config: SelfEditConfig,
    clock: StageClock,
    *,
    adapter: str,
    parent: str | None,
    writer: LoraAdapter | None,
    seed: int,
) -> Proposal:
    """Write the self-edits of a context.

    Args:
        adapter: Name of the adapter that is to learn them.
        parent: The revision that it continues from.
        writer: The policy that writes; None for the base model.

    Raises InputError for an unusable context.
    """
    passages = passages_of(base, context.text, config.max_context_tokens)
    with clock.stage("write self-edits") as report:
        edits = write_self_edits(engine, context.title, passages, config, writer=writer, seed=seed, progress=report)
    if config.verify != "off":
        with clock.stage("check self-edits"):
            edits = check_self_edits(engine, context.title, passages, edits, config.verify)
    test: tuple[Question, ...] = ()
    if config.self_test and not context.questions:
        with clock.stage("write self-test") as report:
            sources = [(context.title, passages)]
            (test,) = write_self_tests(engine, sources, config.self_test, seed=seed, progress=report)
    return Proposal(adapter, context, tuple(passages), edits, parent, base.identity, test, clock.stages)
