"""Units evaluated by workers of a Ray cluster, each with a base model of its own that stays warm."""

from __future__ import annotations

import logging
import os
import socket
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from seal_agent.errors import InputError, MissingDependency, ModelError, TrainingError
from seal_agent.outer_loop.executors.executor import Finished
from seal_agent.outer_loop.units import Evaluate, Evaluated, Unit, Worker

RETRIES = 3  # our choice: of a unit whose worker died; one that kills four workers would kill a fifth
PATIENCE = 10.0  # seconds, our choice: for a cluster's port to open
STORE_BYTES = 128 * 2**20  # our choice: units and results are small; Ray itself would take a third of the memory
UNPROTECTED = (
    "anybody who can reach this Ray cluster can run code on it: start it again with RAY_AUTH_MODE=token and the token "
    "of `ray get-auth-token --generate` on every machine"
)

_Errand = tuple[Any, Unit[Any] | None]
"""An actor and the unit it is at; None while it loads its model."""


class RayExecutor:
    """Evaluates units on `workers` processes, each of which calls `make_worker` once. Implements Executor.

    Without an `address` the workers run on this machine alone; with one ("auto", "10.0.0.1:6379") they run on that
    cluster, where seal-agent must be installed; a Ray that this process has joined already is used as it is. Each
    worker has `cpus_per_worker` threads and `gpus_per_worker` GPUs: one where the cluster has any, else none. Without
    a number, there are as many workers as the cluster has room for.

    A worker that dies is started again, and its unit evaluated again, up to RETRIES times. No unit waits for a worker
    that is not running yet. Ctrl-C, or any error, ends all workers.

    Raises MissingDependency without Ray, InputError where the cluster cannot be joined or has no room for a worker.
    """

    def __init__(
        self,
        make_worker: Callable[[], Worker],
        *,
        address: str | None = None,
        workers: int | None = None,
        gpus_per_worker: float | None = None,
        cpus_per_worker: int = 1,
    ) -> None:
        if cpus_per_worker < 1 or (workers is not None and workers < 1):
            raise InputError(f"a run needs at least 1 worker with 1 CPU, got {workers} with {cpus_per_worker}")
        self._ray = _ray()
        self._joined = not self._ray.is_initialized()
        if self._joined:
            _join(self._ray, address, workers and workers * cpus_per_worker)
        self._stations: list[Any] = []
        try:
            room = self._ray.cluster_resources()
            gpus = float(bool(room.get("GPU"))) if gpus_per_worker is None else gpus_per_worker
            self.workers = workers or fitting(room, cpus_per_worker, gpus)
            options = {"num_cpus": cpus_per_worker, "num_gpus": gpus, "max_restarts": -1, "max_task_retries": RETRIES}
            station = self._ray.remote(**options)(Station)
            self._stations += [station.remote(make_worker, cpus_per_worker) for _ in range(self.workers)]
            # A worker gets its first unit when it has its model: one that the cluster has no room for yet gets none.
            self._busy: dict[Any, _Errand] = {one.warm.remote(): (one, None) for one in self._stations}
            self._idle: list[Any] = []
        except BaseException:
            self.close()
            raise

    def map(self, units: Sequence[Unit[Any]], evaluate: Evaluate[Any]) -> Iterator[Finished]:
        """Results as they come in, one unit at a time on each worker. Raises what an evaluation raises."""
        if not self._stations:
            raise InputError("the workers of this run were let go; start it again")
        waiting, left = deque(units), len(units)
        try:
            while left:
                while waiting and self._idle:
                    station, given = self._idle.pop(), waiting.popleft()
                    self._busy[station.evaluate.remote(given, evaluate)] = (station, given)
                (ready,), _ = self._ray.wait(list(self._busy), num_returns=1)
                station, unit = self._busy.pop(ready)
                result = self._result(ready)
                self._idle.append(station)
                if unit is not None:
                    left -= 1
                    yield Finished(unit, *result)
        except BaseException:  # Ctrl-C too
            self.close()
            raise

    def close(self) -> None:
        """End the workers; of a Ray that this executor joined, also the connection."""
        stations, self._stations = self._stations, []
        if not self._ray.is_initialized():
            return
        if self._joined:
            self._ray.shutdown()  # the workers of a driver that leaves are ended by the cluster
        else:
            for station in stations:
                self._ray.kill(station)

    def _result(self, ready: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(ready)
        except errors.RayTaskError as err:
            raise err.cause from err
        except errors.RayError as err:  # a process that died, or that Ray ended for want of memory
            if getattr(err, "actor_init_failed", False):
                why = str(err).strip().splitlines()[-1].strip()
                raise InputError(
                    f"no worker could be started ({why}); install the same seal-agent on every machine"
                ) from err
            raise TrainingError(
                f"a worker's process died {RETRIES + 1} times over the same unit, perhaps for want of memory; "
                "use fewer contexts per unit, or fewer workers on each machine"
            ) from err


class Station:
    """One worker's process: an actor that keeps its model between units."""

    def __init__(self, make_worker: Callable[[], Worker], threads: int) -> None:
        self._make_worker, self._threads = make_worker, threads

    @cached_property
    def worker(self) -> Worker:
        """Made here and not when the actor starts, where an error would reach nobody as what it is."""
        import torch

        torch.set_num_threads(self._threads)
        return self._make_worker()

    def warm(self) -> None:
        """Load the model."""
        _ = self.worker

    def evaluate(self, unit: Unit[Any], evaluate: Evaluate[Any]) -> tuple[Evaluated, float]:
        """A unit's result and the seconds it took, the model's loading left out."""
        worker = self.worker
        if worker.base.identity != unit.base:
            raise ModelError(
                f"a worker on {os.uname().nodename} loaded another base model than this run's; put the same files "
                "under the same name on every machine"
            )
        started = time.perf_counter()
        return evaluate(unit, worker), time.perf_counter() - started


def _ray() -> Any:
    try:
        import ray
    except ImportError as err:
        raise MissingDependency("the ray executor needs Ray: pip install 'seal-agent[ray]'") from err
    return ray


def _join(ray: Any, address: str | None, cpus: int | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            ray.init("local", num_cpus=cpus, include_dashboard=False, object_store_memory=STORE_BYTES, **quiet)
        else:
            _reach(address)
            ray.init(address, **quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as err:
        where = f"join the Ray cluster at {address!r}" if address else "start Ray on this machine"
        raise InputError(
            f"cannot {where} ({str(err).strip().split('. ')[0].rstrip('.')}); start one with `ray start --head` and "
            "give its address, and where it asks for a token set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here too"
        ) from err
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        warnings.warn(UNPROTECTED, stacklevel=3)


def _reach(address: str) -> None:
    """Raise OSError at once where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def fitting(room: dict[str, float], cpus: int, gpus: float) -> int:
    """As many workers as the cluster has room for, all its machines taken together."""
    count = int(min(room.get("CPU", 0) / cpus, room.get("GPU", 0) / gpus if gpus else float("inf")))
    if not count:
        raise InputError(
            f"the cluster has {room.get('CPU', 0):g} CPUs and {room.get('GPU', 0):g} GPUs, too few for a worker with "
            f"{cpus} and {gpus:g}; ask for less, or give the number of workers if machines are still to come"
        )
    return count
