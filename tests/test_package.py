"""The front door: light to import, and everything it names is there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import seal_agent

IMPORT = """
import sys, time
started = time.perf_counter()
import seal_agent
seconds = time.perf_counter() - started
heavy = {"torch", "transformers", "peft", "numpy", "lm_eval", "datasets"} & sys.modules.keys()
print(seconds, *heavy)
"""


def test_import_loads_nothing_heavy_and_is_fast() -> None:
    seconds = []
    for _ in range(3):  # the fastest of three: others may be using the processor
        run = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True, env=os.environ)
        took, *heavy = run.stdout.split()
        assert heavy == []
        seconds.append(float(took))
    assert min(seconds) < 0.3


@pytest.mark.parametrize("name", seal_agent.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(seal_agent, name) is not None
    assert name in dir(seal_agent)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = seal_agent.nope
