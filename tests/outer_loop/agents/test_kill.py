"""An agent's run that is killed at any moment ends with the same ledger, policy and lessons."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from agent_runs import stages
from conftest import llama, tokenizer
from doors import DoorsEngine

from seal_agent.base_model.model import BaseModel
from seal_agent.outer_loop.agents.run import TRAJECTORIES, learn_agent

KILLS = 3


def run_to_the_end(folder: Path, base: BaseModel) -> None:
    at_work = stages(base, folder, DoorsEngine())
    learn_agent(at_work)
    at_work.run.close()


def left(folder: Path, base: BaseModel) -> tuple[str, str, str]:
    """The ledger without its seconds, the last policy, and the lessons without the run's name."""
    at_work = stages(base, folder, DoorsEngine())
    try:
        lessons = (folder / TRAJECTORIES).read_text().replace(f"run:{folder.name}", "run")
        return at_work.run.digest(), (folder / "policy" / "last").read_text(), lessons
    finally:
        at_work.run.close()


@pytest.mark.skipif(os.name == "nt", reason="forks a process with the tiny model in it")
def test_killed_at_random_moments_it_ends_the_same(tmp_path: Path) -> None:
    """In an interpreter of its own: threads that other tests left here would hang what is forked."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, __file__, tmp_path], capture_output=True, text=True, timeout=300, env=env)
    assert ran.returncode == 0, ran.stderr


def kill_and_go_on(base: BaseModel, tmp_path: Path) -> None:
    started = time.perf_counter()
    run_to_the_end(tmp_path / "whole", base)
    whole, expected = time.perf_counter() - started, left(tmp_path / "whole", base)
    draw, kills, attempt = random.Random(0), 0, 0
    while kills < KILLS:
        attempt += 1
        folder, alive = tmp_path / f"run-{attempt}", True
        while alive:
            process = multiprocessing.get_context("fork").Process(target=run_to_the_end, args=(folder, base))
            process.start()
            process.join(draw.uniform(0.05, 0.6) * whole)
            alive = process.is_alive()
            if alive and process.pid:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            process.join()
        assert process.exitcode == 0
        assert left(folder, base) == expected


if __name__ == "__main__":
    torch.set_num_threads(1)
    kill_and_go_on(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"), Path(sys.argv[1]))
