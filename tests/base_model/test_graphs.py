"""Recording work for replays, with a stand-in for CUDA's graphs."""

from __future__ import annotations

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from seal_agent.base_model.graphs import CudaRecorder, recorder_for, release_memory

CPU = torch.device("cpu")


class FakeGraph:
    """Remembers how it was recorded."""

    made: list[weakref.ref[FakeGraph]]
    pool: object
    stream: object

    def __init__(self) -> None:
        self.made.append(weakref.ref(self))

    def replay(self) -> None: ...


class FakeCuda:
    """Holds, as torch does, that one graph at a time is recorded, and that a pool without graphs is gone."""

    def __init__(self) -> None:
        self.underway, self.most = 0, 0
        self.graphs: list[weakref.ref[FakeGraph]] = []

    def graph(self, graph: FakeGraph, *, pool: object, stream: object, capture_error_mode: str) -> FakeCuda:
        assert capture_error_mode == "thread_local"
        graph.pool, graph.stream = pool, stream
        return self

    def __enter__(self) -> None:
        self.underway += 1
        self.most = max(self.most, self.underway)
        time.sleep(0.001)

    def __exit__(self, *_: object) -> None:
        self.underway -= 1

    def empty_cache(self) -> None:
        assert not self.underway, "torch refuses that while a graph is recorded"


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    cuda = FakeCuda()
    monkeypatch.setattr(FakeGraph, "made", cuda.graphs, raising=False)
    stand_ins: dict[str, Any] = {
        "CUDAGraph": FakeGraph,
        "graph": cuda.graph,
        "graph_pool_handle": object,
        "Stream": lambda device: object(),
        "current_stream": lambda: None,
        "set_stream": lambda stream: None,
        "empty_cache": cuda.empty_cache,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return cuda


def test_threads_record_one_after_the_other_and_no_memory_is_released_meanwhile(cuda: FakeCuda) -> None:
    start = threading.Barrier(4)

    def record(number: int) -> None:
        start.wait()
        for _ in range(10):
            release_memory() if number == 3 else CudaRecorder(CPU).record(lambda: None)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(record, range(4)))
    assert cuda.most == 1


def test_a_recorder_has_a_stream_and_a_pool_of_its_own(cuda: FakeCuda) -> None:
    recorders = [CudaRecorder(CPU), CudaRecorder(CPU)]
    replays = [recorder.record(lambda: None) for recorder in recorders for _ in range(3)]
    graphs = [graph() for graph in cuda.graphs]
    assert len(graphs) == 2 * (3 + 1)
    assert len({id(graph.stream) for graph in graphs if graph}) == 2
    assert len({id(graph.pool) for graph in graphs if graph}) == 2
    assert len(replays) == 6


def test_a_pool_keeps_a_graph_when_all_that_were_recorded_are_dropped(cuda: FakeCuda) -> None:
    recorder = CudaRecorder(CPU)
    for _ in range(2):
        replay = recorder.record(lambda: None)
        del replay
        (left,) = [graph for made in cuda.graphs if (graph := made()) is not None]
        assert left is recorder._anchor
    assert len(cuda.graphs) == 3, "the one that stays is recorded once"


def test_there_are_no_graphs_on_a_processor() -> None:
    assert recorder_for(CPU) is None
