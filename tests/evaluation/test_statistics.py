"""Intervals, paired comparisons and ranks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bench_rows import novel_row, three_rows

from seal_agent.evaluation import statistics
from seal_agent.evaluation.ranking import Entry, is_better, rankings
from seal_agent.evaluation.results import Unit, read_results
from seal_agent.evaluation.statistics import DIFFERENCE, compare, interval, measure_of, measures_of
from seal_agent.outer_loop.report import interval as report_interval


def units(values: list[float], name: str = "contains") -> list[Unit]:
    return [Unit(str(i), f"passage {i}", {name: value}) for i, value in enumerate(values)]


def test_a_mean_has_the_interval_and_error_of_its_units() -> None:
    values = np.random.default_rng(0).random(200).tolist()
    measure = measure_of(values)
    assert measure
    assert measure.stderr == pytest.approx(np.std(values, ddof=1) / np.sqrt(200))
    assert measure.low is not None
    assert measure.high is not None
    assert measure.high - measure.low == pytest.approx(2 * 1.96 * measure.stderr, rel=0.1)
    assert measure.low < np.mean(values) < measure.high


def test_one_unit_has_no_interval_and_none_has_no_mean() -> None:
    alone = measure_of([0.5])
    assert alone
    assert (alone.value, alone.low, alone.count) == (0.5, None, 1)
    assert measure_of([]) is None


def test_a_measure_is_of_the_units_that_have_it() -> None:
    mixed = [*units([1.0, 0.0]), Unit("x", "ungraded", {})]
    assert measures_of(mixed)["contains"].count == 2


def test_rows_are_compared_on_shared_units_only() -> None:
    first, second = units([1.0] * 6 + [0.0]), units([0.0] * 6)
    found = compare(first, second, "contains")
    assert found
    assert (found.difference.mean, found.difference.count) == (1.0, 6)
    assert found.certain
    assert compare(first, units([0.0]), "contains") is None


def test_a_paired_difference_is_certain_where_two_intervals_overlap() -> None:
    hard = [0.1 * (i % 10) for i in range(40)]
    first, second = units([value + 0.05 for value in hard]), units(hard)
    a, b = measures_of(first)["contains"], measures_of(second)["contains"]
    assert a.low is not None
    assert b.high is not None
    assert a.low < b.high, "unpaired, the rows could not be told apart"
    found = compare(first, second, "contains")
    assert found
    assert found.certain


def test_ranks_count_the_rows_that_are_certainly_better(tmp_path: Path) -> None:
    entries = [Entry(path, read_results(path)) for path in three_rows(tmp_path)]
    (ranking,) = rankings(entries)
    assert [(row.results.recipe.name, row.rank) for row in ranking.rows] == [
        ("default", 1), ("in_context", 2), ("base", 3),
    ]  # fmt: skip
    first, _, base = ranking.rows
    assert first.gain
    assert first.gain.difference.low > 0
    assert base.gain is None


def test_rows_that_cannot_be_told_apart_share_a_rank(tmp_path: Path) -> None:
    paths = [novel_row(tmp_path, name, right) for name, right in (("a", [6, 0]), ("b", [0, 6]))]
    (ranking,) = rankings([Entry(path, read_results(path)) for path in paths])
    assert [row.rank for row in ranking.rows] == [1, 1]


def test_less_is_better_where_the_suite_says_so(tmp_path: Path) -> None:
    low, high = (read_results(novel_row(tmp_path, name, [right])) for name, right in (("a", 1), ("b", 5)))
    assert is_better(high, low)
    turned = [tmp_path / "a2.json", tmp_path / "b2.json"]
    for path, source in zip(turned, ("novel_n1-a.json", "novel_n1-b.json"), strict=True):
        path.write_text(json.dumps(json.loads((tmp_path / source).read_text()) | {"higher_is_better": False}))
    low, high = map(read_results, turned)
    assert is_better(low, high)
    assert not is_better(high, low)


@pytest.mark.parametrize("field", ["grader", "prompt_hash"])
def test_another_grader_or_prompt_is_another_ranking(tmp_path: Path, field: str) -> None:
    one, other = three_rows(tmp_path)[:2]
    other.write_text(json.dumps(json.loads(other.read_text()) | {field: "another"}))
    assert len(rankings([Entry(path, read_results(path)) for path in (one, other)])) == 2


def test_other_questions_are_another_ranking(tmp_path: Path) -> None:
    eight, four = novel_row(tmp_path, "a", [3]), novel_row(tmp_path, "b", [3], passages=4)
    assert len(rankings([Entry(path, read_results(path)) for path in (eight, four)])) == 2


@pytest.mark.parametrize("count", [6, 10, 16, 31])
def test_recipes_that_are_equally_good_are_rarely_called_different(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passages of six questions that differ in difficulty; 5 % is right, and chance adds 3."""
    monkeypatch.setattr(report_interval, "DRAWS", 500)
    random, different = np.random.default_rng(count), 0
    for _ in range(500):
        easy = np.clip(random.normal(0.5, 0.25, count), 0, 1)
        gains = (random.binomial(6, easy) - random.binomial(6, easy)) / 6
        found = interval(gains.tolist(), DIFFERENCE)
        assert found
        different += found.low > 0 or found.high < 0
    assert 0.02 < different / 500 < 0.08


@pytest.mark.parametrize("count", [2, 16, 40])
def test_units_that_all_agree_have_an_interval_too(count: int) -> None:
    """What is missed with a probability of 2.5 % in so many units."""
    missed = 1 - 0.025 ** (1 / count)
    for value, low, high in ((0.0, 0.0, missed), (1.0, 1 - missed, 1.0)):
        measure = measures_of(units([value] * count))["contains"]
        assert (measure.value, measure.low, measure.high) == (value, pytest.approx(low), pytest.approx(high))
    ratio = measures_of(units([1.0] * count, "perplexity_ratio"))["perplexity_ratio"]
    assert (ratio.low, ratio.high) == (1.0, 1.0), "it is no share"
    same = compare(units([0.0] * count), units([0.0] * count), "contains")
    assert same
    assert (same.difference.low, same.difference.high) == (pytest.approx(-missed), pytest.approx(missed))


def test_the_interval_of_a_share_stays_between_none_and_all() -> None:
    measure = measures_of(units([0.0] * 9 + [0.5]))["contains"]
    assert measure.low == 0.0
    assert measure.high
    assert measure.high > 0.1


def test_rows_are_resampled_once_whichever_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def counted(values):  # type: ignore[no-untyped-def]
        drawn.append(values)
        return report_interval.estimate(values)

    monkeypatch.setattr(statistics, "estimate", counted)
    random = np.random.default_rng(0)
    first, second = (units(random.random(40).tolist()) for _ in range(2))
    one, other = compare(first, second, "contains"), compare(second, first, "contains")
    assert one
    assert other
    assert (one.difference.low, one.difference.high) == (-other.difference.high, -other.difference.low)
    assert compare(first, second, "contains") == one
    assert len(drawn) == 1


def test_few_units_have_a_wide_interval_and_make_no_rank(tmp_path: Path) -> None:
    few = measure_of([0.4, 0.5, 0.6])
    assert few
    assert few.low is not None
    assert few.high is not None
    assert few.high - few.low == pytest.approx(2 * 4.303 * few.stderr, rel=1e-3)
    five = compare(units([0.9, 0.8, 0.9, 1.0, 0.9]), units([0.1] * 5), "contains")
    assert five
    assert five.difference.low > 0
    assert not five.certain
    paths = [novel_row(tmp_path, name, [right], passages=3) for name, right in (("a", 1), ("b", 5))]
    (ranking,) = rankings([Entry(path, read_results(path)) for path in paths])
    assert [(row.results.recipe.name, row.rank) for row in ranking.rows] == [("b", None), ("a", None)]
