"""Runs an operation of a store in forked processes, each killed at another step, and reports what it left.

    python killed_store.py FOLDER OPERATION

Prints one JSON object: how many steps the operation has, and what went wrong at which of them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from conftest import llama, random_adapter, tokenizer, with_reader
from fakes import ScriptedEngine

from seal_agent import durable
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES, SelfEditConfig
from seal_agent.lora.peft_files import write_peft
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.verify import verify

TEXTS = ("Tarawa is the capital of Kiribati.", "Banaba is a raised island.", "Makin is an atoll.")
NEW = "Nauru is an island."
QUICK = replace(RECIPES["paper"].inner_loop, rank=2, alpha=4.0, epochs=1)
NOTES = SelfEditConfig(formats=("passage",), self_test=0)


def opened(base: BaseModel, home: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(base, home=home, engine=ScriptedEngine({"": "Tarawa."}))


def adapt(model: SelfAdaptingModel, text: str) -> Any:
    return model.adapt(text, inner_loop=QUICK, self_edit=NOTES, gate=None)


def operations(foreign: Path) -> dict[str, Callable[[SelfAdaptingModel], Any]]:
    def forget(model: SelfAdaptingModel) -> None:
        for revision in model.history():
            if revision.context.text == TEXTS[1]:
                model.forget(revision.id)

    return {
        "adapt": lambda model: adapt(model, NEW),
        "rollback": lambda model: model.rollback(to=model.history()[0].id),
        "revoke": lambda model: model.revoke(model.history()[1].id),
        "forget": forget,
        "import": lambda model: model.import_adapter(foreign, adapter="theirs"),
        "delete": lambda model: model.delete_adapter("default") if "default" in model.adapters() else None,
    }


def answers(model: SelfAdaptingModel) -> dict[str, str]:
    """Every weight that answers now, as a hash."""
    found = {}
    for name, revision in model.adapters().items():
        weights = model.weights_of(revision) if revision else None
        found[name] = str([pair.b_RO.double().sum().item() for pair in weights.pairs.values()]) if weights else "base"
    return found


def run_killed(base: BaseModel, home: Path, operation: Callable[[SelfAdaptingModel], Any], at: int) -> tuple[int, int]:
    """Run it in a child that is killed at a step. Returns the child's signal, and the steps that it came to."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        steps = 0

        def count(name: str) -> None:
            nonlocal steps
            steps += 1
            if steps == at:
                os.kill(os.getpid(), signal.SIGKILL)

        model = opened(base, home)
        durable.hook = count
        operation(model)
        os.write(writing, str(steps).encode())
        os._exit(0)
    os.close(writing)
    status = os.waitpid(child, 0)[1]
    with os.fdopen(reading) as told:
        return (os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)), int(told.read() or 0)


def main(folder: Path, name: str) -> None:
    torch.set_num_threads(1)
    base = with_reader(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"))
    foreign, before_home = folder / "foreign", folder / "before"
    write_peft(random_adapter(base, 1), "tiny", base.identity, foreign)
    model = opened(base, before_home)
    for text in TEXTS:
        adapt(model, text)
    before = answers(model)
    model.ledger.database.close()
    operation = operations(foreign)[name]

    done_home = folder / "done"
    shutil.copytree(before_home, done_home)
    killed, total = run_killed(base, done_home, operation, 0)
    assert not killed, killed
    done = answers(opened(base, done_home))

    wrong = []
    for at in range(1, total + 1):
        home = folder / f"at-{at}"
        shutil.copytree(before_home, home)
        killed, _ = run_killed(base, home, operation, at)
        after = opened(base, home)
        states = [answers(after)]
        problems = [problem.what for problem in verify(after.ledger).problems]
        operation(after)
        states.append(answers(after))
        problems += [problem.what for problem in verify(after.ledger).problems]
        if killed != signal.SIGKILL or states[0] not in (before, done) or states[1] != done or problems:
            wrong.append({"step": at, "signal": killed, "states": states, "problems": problems})
        after.ledger.database.close()
        shutil.rmtree(home)
    print(json.dumps({"steps": total, "wrong": wrong, "before": before, "done": done}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
