"""An executor on a Ray cluster: each worker keeps its own base model loaded."""

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
from seal_agent.outer_loop.executors.executor import FinishedUnit, ResultType, UnitType
from seal_agent.outer_loop.units import Worker

RETRIES = 3  # of a unit whose worker died; one that kills four workers would kill a fifth
CONNECT_SECONDS = 10.0  # for a cluster's port to open; not tuned
STORE_BYTES = 128 * 2**20  # units and results are small; Ray's default would take a third of the memory
UNPROTECTED = (
    "anybody who can reach this Ray cluster can run code on it: start it again with RAY_AUTH_MODE=token and the token "
    "of `ray get-auth-token --generate` on every machine"
)

_Assignment = tuple[Any, Any]
"""An actor and the unit that it evaluates; None while it loads its model."""


class RayExecutor:
    """Evaluates units in worker processes of a Ray cluster. Implements Executor.

    A worker that dies is restarted, and its unit evaluated again, up to RETRIES times. No unit waits for a worker that
    is not running yet. Ctrl-C, or any error, ends all workers.

    Raises MissingDependency without Ray, InputError where the cluster cannot be joined or has no room for a worker.

    Args:
        make_worker: Called once in each worker process.
        address: The cluster, such as "auto" or "10.0.0.1:6379"; seal-agent must be installed there. None starts Ray on
            this machine alone. A Ray that this process has already joined is used as it is.
        workers: Number of processes; None for as many as the cluster has room for.
        gpus_per_worker: None for one where the cluster has any, else none.
        cpus_per_worker: Threads of each worker.
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
        self._ray = _import_ray()
        self._joined = not self._ray.is_initialized()
        if self._joined:
            _join(self._ray, address, workers and workers * cpus_per_worker)
        self._actors: list[Any] = []
        try:
            resources = self._ray.cluster_resources()
            gpus = float(bool(resources.get("GPU"))) if gpus_per_worker is None else gpus_per_worker
            self.workers = workers or worker_capacity(resources, cpus_per_worker, gpus)
            options = {"num_cpus": cpus_per_worker, "num_gpus": gpus, "max_restarts": -1, "max_task_retries": RETRIES}
            actor_class = self._ray.remote(**options)(WorkerActor)
            self._actors += [actor_class.remote(make_worker, cpus_per_worker) for _ in range(self.workers)]
            # A worker gets its first unit once its model is loaded; one that the cluster has no room for yet gets none.
            self._busy: dict[Any, _Assignment] = {actor.warm.remote(): (actor, None) for actor in self._actors}
            self._idle: list[Any] = []
        except BaseException:
            self.close()
            raise

    def map(
        self, units: Sequence[UnitType], evaluate: Callable[[UnitType, Worker], ResultType]
    ) -> Iterator[FinishedUnit[UnitType, ResultType]]:
        """Yield results as they come in, with one unit at a time per worker. Raises what an evaluation raises."""
        if not self._actors:
            raise InputError("the workers of this run were let go; start it again")
        waiting, remaining = deque(units), len(units)
        try:
            while remaining:
                while waiting and self._idle:
                    actor, next_unit = self._idle.pop(), waiting.popleft()
                    self._busy[actor.evaluate.remote(next_unit, evaluate)] = (actor, next_unit)
                (ready,), _ = self._ray.wait(list(self._busy), num_returns=1)
                actor, unit = self._busy.pop(ready)
                result = self._result(ready)
                self._idle.append(actor)
                if unit is not None:
                    remaining -= 1
                    yield FinishedUnit(unit, *result)
        except BaseException:  # Ctrl-C too
            self.close()
            raise

    def close(self) -> None:
        """End the workers, and leave the cluster if this executor joined it."""
        actors, self._actors = self._actors, []
        if not self._ray.is_initialized():
            return
        if self._joined:
            self._ray.shutdown()  # the cluster ends the workers of a driver that leaves
        else:
            for actor in actors:
                self._ray.kill(actor)

    def _result(self, ready: Any) -> Any:
        """The value of a finished task. Raises what an evaluation raised, or an error for a dead worker."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(ready)
        except errors.RayTaskError as err:
            raise err.cause from err
        except errors.RayError as err:  # a process that died, or that Ray killed when memory ran out
            if getattr(err, "actor_init_failed", False):
                reason = str(err).strip().splitlines()[-1].strip()
                raise InputError(
                    f"no worker could be started ({reason}); install the same seal-agent on every machine"
                ) from err
            raise TrainingError(
                f"a worker's process died {RETRIES + 1} times over the same unit, perhaps for want of memory; "
                "use fewer contexts per unit, or fewer workers on each machine"
            ) from err


class WorkerActor:
    """A worker process: a Ray actor that keeps its model loaded between units."""

    def __init__(self, make_worker: Callable[[], Worker], threads: int) -> None:
        self._make_worker, self._threads = make_worker, threads

    @cached_property
    def worker(self) -> Worker:
        """Made at first use: an error while the actor starts would reach the driver without its type."""
        import torch

        torch.set_num_threads(self._threads)
        return self._make_worker()

    def warm(self) -> None:
        """Load the model."""
        _ = self.worker

    def evaluate(self, unit: UnitType, evaluate: Callable[[UnitType, Worker], ResultType]) -> tuple[ResultType, float]:
        """A unit's result and its seconds, without loading the model. Raises ModelError for another base model."""
        worker = self.worker
        if not worker.base.is_same_as(unit.base):
            raise ModelError(
                f"a worker on {os.uname().nodename} loaded another base model than this run's; put the same files "
                "under the same name on every machine"
            )
        started = time.perf_counter()
        return evaluate(unit, worker), time.perf_counter() - started


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as err:
        raise MissingDependency("the ray executor needs Ray: pip install 'seal-agent[ray]'") from err
    return ray


def _join(ray: Any, address: str | None, cpus: int | None) -> None:
    """Start Ray on this machine or join a cluster, and warn where it has no token. Raises InputError."""
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            ray.init("local", num_cpus=cpus, include_dashboard=False, object_store_memory=STORE_BYTES, **quiet)
        else:
            _check_reachable(address)
            ray.init(address, **quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as err:
        action = f"join the Ray cluster at {address!r}" if address else "start Ray on this machine"
        raise InputError(
            f"cannot {action} ({str(err).strip().split('. ')[0].rstrip('.')}); start one with `ray start --head` and "
            "give its address, and where it asks for a token set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here too"
        ) from err
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        warnings.warn(UNPROTECTED, stacklevel=3)


def _check_reachable(address: str) -> None:
    """Raise OSError where nothing listens at the address: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()


def worker_capacity(resources: dict[str, float], cpus: int, gpus: float) -> int:
    """Number of workers that the cluster has room for, over all its machines. Raises InputError where there is none."""
    total_cpus, total_gpus = resources.get("CPU", 0), resources.get("GPU", 0)
    count = int(min(total_cpus / cpus, total_gpus / gpus if gpus else float("inf")))
    if not count:
        raise InputError(
            f"the cluster has {total_cpus:g} CPUs and {total_gpus:g} GPUs, too few for a worker with "
            f"{cpus} and {gpus:g}; ask for less, or give the number of workers if machines are still to come"
        )
    return count
