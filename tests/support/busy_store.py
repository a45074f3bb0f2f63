"""Eight threads that adapt, roll back and forget in one store: typed errors or success, or exit code 1.

python busy_store.py HOME NUMBER
"""

from __future__ import annotations

import random
import sys
import threading
import traceback
from pathlib import Path

import torch
from conftest import llama, tokenizer, with_reader
from killed_store import adapt, opened

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import SealError
from seal_agent.model import SelfAdaptingModel

THREADS, ROUNDS = 8, 3


def work(model: SelfAdaptingModel, draw: random.Random, failures: list[str]) -> None:
    for _ in range(ROUNDS):
        name = draw.choice(("default", "a", "b"))
        try:
            match draw.choice(("adapt", "rollback", "forget")):
                case "adapt":
                    model.adapt(f"Fact {draw.random()} is so.", adapter=name, **options())  # type: ignore[arg-type]
                case "rollback":
                    model.rollback(name)
                case "forget":
                    model.forget(draw.choice(model.history(name)).id)
        except (SealError, IndexError):
            pass
        except BaseException:
            failures.append(traceback.format_exc())


def options() -> dict[str, object]:
    from killed_store import NOTES, QUICK

    return {"inner_loop": QUICK, "self_edit": NOTES, "gate": None}


def main(home: Path, number: int) -> int:
    torch.set_num_threads(1)
    base = with_reader(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"))
    model, failures = opened(base, home), list[str]()
    adapt(model, f"Process {number} was here.")
    draws = [random.Random(f"{number} {i}") for i in range(THREADS)]
    threads = [threading.Thread(target=work, args=(model, draw, failures)) for draw in draws]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
