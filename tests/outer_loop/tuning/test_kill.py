"""Killing a run of tuning at any moment changes nothing that comes out."""

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
from conftest import llama, tokenizer
from tuning_fakes import CONFIG, ROOTS, split, worker

from seal_agent.base_model.model import BaseModel
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.tuning.files import ARCHIVE
from seal_agent.outer_loop.tuning.run import Budget, settings, tune
from seal_agent.recipes import IN_FOLDER

KILLS, STEPS = 6, 4


def run_to_the_end(folder: Path, base: BaseModel) -> None:
    at_work = worker(base)
    run = Run(folder, settings(base, ROOTS, split(), CONFIG, True), {})
    tune(ROOTS, split(), CONFIG, Budget(steps=STEPS), worker=at_work, executor=InlineExecutor(at_work), run=run)
    run.close()


def outcome(folder: Path, base: BaseModel) -> tuple[str, str, str]:
    """The ledger without its seconds, the archive, and the recipe."""
    run = Run(folder, settings(base, ROOTS, split(), CONFIG, True), {})
    try:
        return run.digest(), (folder / ARCHIVE).read_text(), (folder / IN_FOLDER).read_text()
    finally:
        run.close()


@pytest.mark.skipif(os.name == "nt", reason="forks a process with the tiny model in it")
def test_killed_at_random_moments_it_ends_with_the_same_archive(tmp_path: Path) -> None:
    """In an interpreter of its own: threads that other tests left here would hang what is forked."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SEAL_CACHE": str(tmp_path / "cache")}
    ran = subprocess.run(
        [sys.executable, __file__, tmp_path], capture_output=True, text=True, timeout=400, env=env, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert f"{KILLS} kills" in ran.stdout


def kill_and_go_on(base: BaseModel, tmp_path: Path) -> None:
    run_to_the_end(tmp_path / "warm", base)  # what a model needs once is in the cache then
    started = time.perf_counter()
    run_to_the_end(tmp_path / "whole", base)
    whole, expected = time.perf_counter() - started, outcome(tmp_path / "whole", base)
    assert '"kind": "proposed"' in expected[1], "a proposal of the model is part of what must come out the same"
    draw, kills, attempt = random.Random(0), 0, 0
    while kills < KILLS:
        attempt += 1
        folder = tmp_path / f"run-{attempt}"
        while True:
            process = multiprocessing.get_context("fork").Process(target=run_to_the_end, args=(folder, base))
            process.start()
            process.join(draw.uniform(0.05, 0.6) * whole)
            alive = process.is_alive()
            if alive and process.pid:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            process.join()
            if not alive:
                assert process.exitcode == 0
                break
        assert outcome(folder, base) == expected
    print(f"{kills} kills" if kills == KILLS else f"{KILLS} kills and {kills - KILLS} more")


if __name__ == "__main__":
    torch.set_num_threads(1)
    kill_and_go_on(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"), Path(sys.argv[1]))
