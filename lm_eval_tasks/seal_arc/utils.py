"""The documents of the ARC tasks. lm-eval passes all model arguments and metadata by name."""

from __future__ import annotations

from functools import partial

from lm_eval_tasks.arc import dataset_of

paper = partial(dataset_of, "paper-eval")
paper_train = partial(dataset_of, "paper-train")
agi1_eval = partial(dataset_of, "eval1")
agi2_eval = partial(dataset_of, "eval2")
toy = partial(dataset_of, "toy")
