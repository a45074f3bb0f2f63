"""Invents the pictures anew: `python -m lm_eval_tasks.seal_pictures.invent` prints their specification.

The task reads the committed file, not this. A change of it is a new version of the task.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from lm_eval_tasks.seal_pictures.inventor import Inventor, name_pool
from lm_eval_tasks.seal_pictures.kinds.registry import KINDS

PER_KIND = 4
_SEED = "seal_pictures 1"


def specification() -> Iterator[str]:
    """One line of JSON for each picture."""
    pool = name_pool(_SEED)
    for number in range(PER_KIND):
        for name, kind in KINDS.items():
            inventor = Inventor(f"{_SEED} {name} {number}", pool)
            invention = kind.invent(inventor, number)
            row = {
                "name": f"{name}-{number + 1}",
                "kind": name,
                "title": invention.title,
                "data": invention.data,
                "questions": [[asked.question, list(asked.golds), asked.skill] for asked in invention.asked],
            }
            yield json.dumps(row, separators=(",", ":"))


if __name__ == "__main__":
    print("\n".join(specification()))
