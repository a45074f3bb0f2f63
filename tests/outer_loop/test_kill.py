"""Killing a run at any moment loses nothing that was finished and changes nothing that comes out."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import llama, tokenizer
from outer_loop_fakes import CONFIG, domain, worker

from seal_agent.base_model.model import BaseModel
from seal_agent.outer_loop.archive.run import LEDGER, Run
from seal_agent.outer_loop.executors.executor import FinishedUnit, InlineExecutor
from seal_agent.outer_loop.rest_em import rest_em
from seal_agent.outer_loop.rewards.reward import QuestionReward


class LoggingExecutor(InlineExecutor):
    """Writes down every unit that it begins."""

    log: Path

    def map(self, units: Sequence[Any], evaluate: Any) -> Iterator[FinishedUnit]:
        for unit in units:
            with self.log.open("a") as file:
                file.write(unit.key + "\n")
            yield from super().map([unit], evaluate)


def run_to_the_end(folder: Path, base: BaseModel, log: Path) -> None:
    run = Run(folder, asdict(CONFIG), {})
    at_work = worker(base)
    executor = LoggingExecutor(at_work)
    executor.log = log
    rest_em(domain(), QuestionReward(), CONFIG, worker=at_work, executor=executor, run=run)
    run.close()


def on_file(folder: Path) -> set[str]:
    if not (folder / LEDGER).is_file():
        return set()
    db = sqlite3.connect(folder / LEDGER)
    try:
        return {key for (key,) in db.execute("SELECT key FROM work")}
    except sqlite3.OperationalError:  # killed before the table was made
        return set()
    finally:
        db.close()


def digest(folder: Path) -> tuple[str, str]:
    """Of the ledger without its seconds, and of the last policy."""
    run = Run(folder, asdict(CONFIG), {})
    try:
        return run.digest(), (folder / "policy" / "last").read_text().strip()
    finally:
        run.close()


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.skipif(os.name == "nt", reason="forks a process with the tiny model in it")
def test_killed_at_random_moments_it_repeats_nothing_and_ends_the_same(tmp_path: Path, kills: int) -> None:
    """In an interpreter of its own: threads that other tests left here would hang what is forked."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, __file__, tmp_path, str(kills)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert ran.returncode == 0, ran.stderr


def kill_and_go_on(tiny_base: BaseModel, tmp_path: Path, wanted: int) -> None:
    started = time.perf_counter()
    run_to_the_end(tmp_path / "whole", tiny_base, tmp_path / "whole.log")
    whole, expected = time.perf_counter() - started, digest(tmp_path / "whole")
    draw, kills, attempt = random.Random(0), 0, 0
    while kills < wanted:
        attempt += 1
        folder = tmp_path / f"run-{attempt}"
        while True:
            before, log = on_file(folder), tmp_path / f"{attempt}-{kills}.log"
            log.write_text("")
            process = multiprocessing.get_context("fork").Process(target=run_to_the_end, args=(folder, tiny_base, log))
            process.start()
            process.join(draw.uniform(0.02, 0.5) * whole)
            alive = process.is_alive()
            if alive and process.pid:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            process.join()
            assert not before & set(log.read_text().split()), "what was on file was evaluated again"
            if not alive:
                assert process.exitcode == 0
                break
        assert digest(folder) == expected


if __name__ == "__main__":
    torch.set_num_threads(1)
    kill_and_go_on(
        BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"), Path(sys.argv[1]), int(sys.argv[2])
    )
