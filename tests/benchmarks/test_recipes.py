"""benchmarks/recipes.py: the search goes on with the better ones, and the default is what won."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from seal_agent.config import recipe_named

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CONFIRMED = "evidence, 9 openings, synonyms"


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import recipes

    yield recipes
    parts = [name for name in sys.modules if name.partition(".")[0] == "parts"]
    for name in ("recipes", *parts):
        sys.modules.pop(name, None)


@pytest.fixture
def bench(recipes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """A bench where the fewer words a recipe's name has the more it teaches; what it was asked to measure."""
    measured: list[tuple[str, int]] = []

    class Bench:
        def __init__(self, *_: object) -> None: ...

        def measure(self, recipe: Any, contexts: list[Any], _: bool) -> list[dict[str, Any]]:
            measured.append((recipe.name, len(contexts)))
            right = ["correct"] * max(0, 6 - len(recipe.name.split()))
            answers = [
                {
                    "question": "Who?",
                    "golds": ["Lee"],
                    "answer": "Lee" if verdict == "correct" else "Poe",
                    "verdict": verdict,
                }
                for verdict in [*right, *["wrong"] * (6 - len(right))]
            ]
            return [{"seconds_to_write": 1.0, "seconds_to_train": 2.0, "answers": answers} for _ in contexts]

    monkeypatch.setattr(recipes, "Bench", Bench)
    return measured


def search(recipes: ModuleType, out: Path, grader: str = "lexical", judge_model: str | None = None) -> Any:
    options = {"seed": 0, "model": "default", "squad": None, "judge_url": None}
    return recipes.Search(argparse.Namespace(out=out, grader=grader, judge_model=judge_model, **options))


@pytest.mark.parametrize(
    ("eta", "seen"), [(2, {6: 2, 5: 2, 4: 2, 3: 4, 2: 8, 1: 8}), (4, {6: 2, 5: 2, 4: 2, 3: 2, 2: 8, 1: 8})]
)
def test_from_rung_to_rung_the_better_ones_learn_more(
    eta: int, seen: dict[int, int], recipes: ModuleType, bench: list[tuple[str, int]], tmp_path: Path
) -> None:
    tried = [
        recipes.candidates.Recipe(
            " ".join("abcdef"[:words]), recipes.candidates.PASSAGE_ONLY, recipes.candidates.ALL_LAYERS
        )
        for words in (4, 2, 5, 1, 3, 6)
    ]
    found = search(recipes, tmp_path / "recipes.json").explore(tried, [2, 4, 8], eta)
    assert [recipe.name for recipe in found] == ["a", "a b"]
    assert {len(r.name.split()): sum(n for name, n in bench if name == r.name) for r in tried} == seen


def test_a_stopped_search_goes_on(recipes: ModuleType, bench: list[tuple[str, int]], tmp_path: Path) -> None:
    tried = [
        recipes.candidates.Recipe(name, recipes.candidates.PASSAGE_ONLY, recipes.candidates.ALL_LAYERS)
        for name in ("a", "a b", "a b c")
    ]
    out = tmp_path / "recipes.json"
    search(recipes, out).explore(tried, [2], 2)
    bench.clear()
    search(recipes, out).explore(tried, [2, 4], 2)
    assert bench == [("a", 2), ("a b", 2)]
    assert all(row["commit"] for row in json.loads(out.read_text())["rows"])


def test_another_grader_is_another_search(recipes: ModuleType, bench: list[tuple[str, int]], tmp_path: Path) -> None:
    """Its verdicts stay as they are on file; those of the default are given anew, by the current grader."""
    tried = [recipes.candidates.Recipe("a", recipes.candidates.PASSAGE_ONLY, recipes.candidates.ALL_LAYERS)]
    out = tmp_path / "recipes.json"
    search(recipes, out).explore(tried, [1], 2)
    assert "grader" not in json.loads(out.read_text(encoding="utf-8"))["config"]
    with pytest.raises(SystemExit, match="give --out another file"):
        search(recipes, out, "judge", "a-judge")
    out = tmp_path / "judged.json"
    judged = search(recipes, out, "judge", "a-judge")
    assert not judged.rows
    judged.explore(tried, [1], 2)
    config = json.loads(out.read_text(encoding="utf-8"))["config"]
    assert config["grader"] == {"name": "judge", "judge_model": "a-judge", "judge_url": None}
    text = out.read_text(encoding="utf-8").replace('"correct"', '"ungraded"')
    out.write_text(text, encoding="utf-8")
    (row,) = [row for row in search(recipes, out, "judge", "a-judge").rows if row["domain"] == recipes.NOVEL]
    assert "correct" not in [answer["verdict"] for answer in row["answers"]]
    with pytest.raises(SystemExit, match="grader"):
        search(recipes, out, "model")


def test_the_default_is_the_recipe_that_won_where_it_was_confirmed(recipes: ModuleType) -> None:
    default = recipe_named("default")
    key = recipes.candidates.recipe_key(recipes.candidates.Recipe(CONFIRMED, default.self_edit, default.inner_loop))
    results = recipes.results_file.read(BENCHMARKS / "results" / "recipes.json")
    confirmed = [row for row in results["rows"] if row["recipe"] == key and row["passage"] >= recipes.EXPLORED]
    assert {domain: sum(row["domain"] == domain for row in confirmed) for domain in ("squad", "seal_novel")} == {
        "squad": 100,
        "seal_novel": 16,
    }
    assert results["summary"]["choice"][0]["recipe"] == CONFIRMED
    assert len(results["summary"]["choice"]) == 2


def test_the_choice_is_the_finalist_that_is_best_where_all_were_confirmed(
    recipes: ModuleType, bench: list[tuple[str, int]], tmp_path: Path
) -> None:
    tried = [
        recipes.candidates.Recipe(name, recipes.candidates.PASSAGE_ONLY, recipes.candidates.ALL_LAYERS)
        for name in ("a b c", "a", "a b")
    ]
    one = search(recipes, tmp_path / "recipes.json")
    one.learn(tried[:2], {recipes.NOVEL: (24, 28)})
    one.learn(tried[2:], {recipes.NOVEL: (24, 26)})
    best, other = recipes.report.choice(one, tried, {recipes.NOVEL: (24, 28)})
    assert (best["recipe"], best["difference"], best["interval"]) == ("a", 0.0, [0.0, 0.0])
    assert (other["recipe"], other["difference"]) == ("a b c", pytest.approx(-2 / 6))
    assert other["interval"] == pytest.approx([-2 / 6, -2 / 6])
    assert recipes.report.choice(one, tried, {recipes.NOVEL: (30, 34)}) == []
