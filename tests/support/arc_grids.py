"""Grids for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from seal_agent.arc.grids import Grid


def grids(side: int = 30) -> st.SearchStrategy[Grid]:
    """Any grid of at most so many rows and columns."""

    def of_shape(shape: tuple[int, int]) -> st.SearchStrategy[Grid]:
        row = st.lists(st.integers(0, 9), min_size=shape[1], max_size=shape[1])
        return st.lists(row, min_size=shape[0], max_size=shape[0]).map(Grid.of)

    return st.tuples(st.integers(1, side), st.integers(1, side)).flatmap(of_shape)
