"""The outer loop on a local Ray: the same ledger as inline, even where a worker is killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tuning_fakes
from conftest import llama, tokenizer
from outer_loop_fakes import CONFIG, domain, worker

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError, MissingDependency, ModelError, SealError, TrainingError
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.domains.knowledge import KnowledgeDomain
from seal_agent.outer_loop.executors import ray as executor_ray
from seal_agent.outer_loop.executors.executor import Executor, InlineExecutor
from seal_agent.outer_loop.executors.ray import RayExecutor, WorkerActor, worker_capacity
from seal_agent.outer_loop.rest_em import rest_em
from seal_agent.outer_loop.rewards.reward import QuestionReward
from seal_agent.outer_loop.tuning.run import Budget, settings, tune
from seal_agent.outer_loop.units import Unit, UnitResult, Worker

TESTS = Path(__file__).parents[2]
IMPORTED = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "support")))

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [pytest.mark.timeout(400), pytest.mark.alone]
PATIENCE = 120.0  # seconds; Ray gives its workers a low priority, and on a busy machine they start late


def make_worker() -> Worker:
    return worker(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"))


@dataclass(frozen=True)
class Watched(KnowledgeDomain):
    """Notes in a folder who evaluates; the first evaluation comes to nothing: it waits for its process to be killed."""

    notes: Path = Path()

    @property
    def evaluate(self) -> Any:  # type: ignore[override]
        return partial(evaluate_and_wait_once, self.notes)


def evaluate_and_wait_once(notes: Path, unit: Unit[Any], at_work: Worker) -> UnitResult:
    result = KnowledgeDomain.evaluate(unit, at_work)
    try:
        (notes / "victim").open("x").write(f"{os.getpid()}\n{unit.key}")
    except FileExistsError:
        (notes / f"{unit.key}.{os.getpid()}").touch()
        return result
    time.sleep(2 * PATIENCE)
    raise AssertionError("nobody killed this worker")


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def kill_the_victim(notes: Path) -> None:
    note = notes / "victim"
    wait_for(lambda: note.is_file() and "\n" in note.read_text())
    os.kill(int(note.read_text().split()[0]), signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of two CPUs that several executors join."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", IMPORTED)  # the workers import what is in this file
        patch.setenv("RAY_AUTH_TOKEN", "0" * 32)  # or Ray writes one into the home folder
        ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=2**27, log_to_driver=False)
        yield
        ray.shutdown()


def loop(folder: Path, of: KnowledgeDomain, executor: Executor) -> tuple[str, list[str | None]]:
    run = Run(folder, asdict(CONFIG), {})
    try:
        results = rest_em(of, QuestionReward(), CONFIG, worker=make_worker(), executor=executor, run=run)
        return run.digest(), [result.next_policy for result in results]
    finally:
        run.close()
        executor.close()


@pytest.mark.usefixtures("cluster")
def test_a_run_on_ray_with_a_worker_killed_in_the_middle_is_the_run_inline(tmp_path: Path) -> None:
    inline = loop(tmp_path / "inline", domain(), InlineExecutor(make_worker()))
    killer = threading.Thread(target=kill_the_victim, args=(tmp_path,), daemon=True)
    killer.start()
    plain = domain()
    watched = Watched(plain.contexts, plain.self_edit, plain.others, tmp_path)
    on_ray = loop(tmp_path / "ray", watched, RayExecutor(make_worker, workers=2))
    killer.join()
    assert on_ray == inline
    victim, key = (tmp_path / "victim").read_text().split()
    by = [path.suffix[1:] for path in tmp_path.glob(f"{key}.*")]
    assert len(by) == 1, "the unit of the killed worker was evaluated once more"
    assert by != [victim]
    assert not alive(int(victim))


def make_tuning_worker() -> Worker:
    return tuning_fakes.worker(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"))


def tuned(folder: Path, executor: Executor) -> tuple[str, list[dict[str, Any]]]:
    roots, split, config = tuning_fakes.ROOTS, tuning_fakes.split(), replace(tuning_fakes.CONFIG, adapters=2)
    at_work = make_tuning_worker()
    run = Run(folder, settings(at_work.base, roots, split, config, True), {})
    try:
        outcome = tune(roots, split, config, Budget(steps=1), worker=at_work, executor=executor, run=run)
        return outcome.digest, outcome.archive.as_json()
    finally:
        run.close()
        executor.close()


@pytest.mark.usefixtures("cluster")
def test_tuning_on_ray_gives_the_archive_of_tuning_inline(tmp_path: Path) -> None:
    inline = tuned(tmp_path / "inline", InlineExecutor(make_tuning_worker()))
    assert tuned(tmp_path / "ray", RayExecutor(make_tuning_worker, workers=2)) == inline


def unit(base: str = "tiny-identity") -> Unit[Any]:
    return Unit(base, (), CONFIG.inner_loop)


def refuse(_: Unit[Any], __: Worker) -> UnitResult:
    raise TrainingError("the loss is not a number; lower the learning rate")


def wait_to_be_stopped(notes: Path, _: Unit[Any], __: Worker) -> UnitResult:
    (notes / str(os.getpid())).touch()
    time.sleep(2 * PATIENCE)
    raise AssertionError("nobody stopped this worker")


@pytest.mark.usefixtures("cluster")
def test_an_error_of_a_worker_arrives_as_what_it_is() -> None:
    executor = RayExecutor(make_worker, workers=1)
    with pytest.raises(SealError) as raised:
        list(executor.map([unit()], refuse))
    assert type(raised.value) is TrainingError
    assert str(raised.value) == "the loss is not a number; lower the learning rate"
    with pytest.raises(InputError, match="let go"):
        list(executor.map([unit()], refuse))


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """A shell starts what it runs in the background deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("cluster", "hears_ctrl_c")
def test_ctrl_c_ends_the_workers_of_a_cluster_that_lives_on(tmp_path: Path) -> None:
    def interrupt() -> None:
        wait_for(lambda: any(tmp_path.iterdir()))
        os.kill(os.getpid(), signal.SIGINT)

    executor = RayExecutor(make_worker, workers=1)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        list(executor.map([unit()], partial(wait_to_be_stopped, tmp_path)))
    (left,) = tmp_path.iterdir()
    wait_for(lambda: not alive(int(left.name)))
    assert ray.is_initialized(), "who joined the cluster first leaves it last"


def test_a_worker_with_another_base_model_is_found_out() -> None:
    with pytest.raises(ModelError, match="another base model"):
        WorkerActor(make_worker, 1).evaluate(unit("another-identity"), refuse)


class FakeRay:
    """Joins anything, or nothing."""

    exceptions = ray.exceptions

    def __init__(self, fails: Exception | None = None, **room: float) -> None:
        self.fails, self.room, self.options = fails, room, dict[str, Any]()
        self.up = False

    def init(self, address: str, **options: Any) -> None:
        self.options = {"address": address, **options}
        if self.fails:
            raise self.fails
        self.up = True

    def is_initialized(self) -> bool:
        return self.up

    def cluster_resources(self) -> dict[str, float]:
        return self.room

    def shutdown(self) -> None:
        self.up = False


def join(monkeypatch: pytest.MonkeyPatch, fake: FakeRay, **options: Any) -> None:
    monkeypatch.setattr(executor_ray, "_import_ray", lambda: fake)
    monkeypatch.setattr(executor_ray, "_check_reachable", lambda _: None)
    RayExecutor(make_worker, **options)


def test_a_cluster_that_anybody_may_use_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.warns(UserWarning, match="ray get-auth-token"), pytest.raises(InputError, match="too few"):
        join(monkeypatch, FakeRay(CPU=1), address="10.0.0.1:6379", cpus_per_worker=2)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    fake = FakeRay(CPU=8)
    with pytest.raises(InputError, match="0 GPUs"):
        join(monkeypatch, fake, address="10.0.0.1:6379", gpus_per_worker=1)
    assert fake.options["address"] == "10.0.0.1:6379"
    assert not fake.up, "a cluster without room for a worker is left again"


def test_a_cluster_that_cannot_be_joined_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (ConnectionError("no route"), RuntimeError("no route"), ray.exceptions.RayError("no route")):
        with pytest.raises(InputError, match=r"10\.0\.0\.1:6379.*no route.*ray start --head"):
            join(monkeypatch, FakeRay(error), address="10.0.0.1:6379")
    monkeypatch.undo()
    monkeypatch.setattr(executor_ray, "_import_ray", lambda: FakeRay(CPU=1))
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9.*refused"):
        RayExecutor(make_worker, address="127.0.0.1:9")
    with pytest.raises(InputError, match="at least 1 worker"):
        RayExecutor(make_worker, workers=0)


def test_without_ray_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"pip install 'seal-agent\[ray\]'"):
        RayExecutor(make_worker)


@pytest.mark.parametrize(
    ("room", "cpus", "gpus", "workers"),
    [
        ({"CPU": 8}, 1, 0.0, 8),
        ({"CPU": 8}, 3, 0.0, 2),
        ({"CPU": 64, "GPU": 8}, 4, 1.0, 8),
        ({"CPU": 64, "GPU": 8}, 1, 0.5, 16),
    ],
)
def test_there_are_as_many_workers_as_have_room(room: dict[str, float], cpus: int, gpus: float, workers: int) -> None:
    assert worker_capacity(room, cpus, gpus) == workers
