"""A whole run on a tiny model that really trains: measured, confirmed, reported, and taken up again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tuning_fakes import CONFIG, DEFAULT, ROOTS, split, worker

from seal_agent.adaptation.provenance import recipe_key
from seal_agent.base_model.model import BaseModel
from seal_agent.config import LATER, RECIPES, recipe_named
from seal_agent.errors import InputError
from seal_agent.evaluation.passages import unit_id
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, PassageScore
from seal_agent.outer_loop.tuning.confirm import confirm
from seal_agent.outer_loop.tuning.files import recipe_toml
from seal_agent.outer_loop.tuning.forecast import reckon
from seal_agent.outer_loop.tuning.measure import RecipeTrial, TuneUnit, evaluate
from seal_agent.outer_loop.tuning.run import Budget, TuneOutcome, named_candidates, settings, tune
from seal_agent.outer_loop.tuning.search import best_rival
from seal_agent.outer_loop.tuning.stages import Probe


def tuned(base: BaseModel, folder: Path, budget: Budget, roots: Sequence[Candidate] = ROOTS) -> TuneOutcome:
    at_work = worker(base)
    run = Run(folder, settings(base, roots, split(), CONFIG, True), {"model": base.name})
    try:
        return tune(roots, split(), CONFIG, budget, worker=at_work, executor=InlineExecutor(at_work), run=run)
    finally:
        run.close()


def test_a_run_ends_with_a_recipe_and_a_report_and_goes_on_where_it_was(tiny_base: BaseModel, tmp_path: Path) -> None:
    outcome = tuned(tiny_base, tmp_path, Budget(steps=2))
    assert len(outcome.archive) > len(ROOTS)
    assert {c.over.name for c in outcome.confirmation.comparisons} | {outcome.confirmation.winner.name} >= {"default"}
    kept = outcome.confirmation.kept
    assert recipe_key(recipe_named(str(tmp_path))) == recipe_key(kept.recipe), "the run's folder is a recipe"
    text = outcome.markdown.read_text(encoding="utf-8")
    for heading in ("Result", "Front", "Lineage", "Which settings mattered", "Mutations", "All candidates"):
        assert f"## {heading}" in text
    assert all(candidate.label in text for candidate in outcome.archive)
    page = outcome.html.read_text(encoding="utf-8")
    assert "<circle" in page
    assert re.search(r"<pre>default .*named", page)
    files = {file.stem: recipe_key(recipe_named(str(file))) for file in outcome.recipes.iterdir()}
    assert outcome.confirmation.winner.id in files
    assert all(name == key for name, key in files.items()), "each file is the recipe that it is named by"
    learnt = {unit_id(context) for context in (*split().selecting, *split().confirming)}
    assert set(recipe_named(str(tmp_path)).searched) == learnt, "the passages that chose it are marked as seen"
    again = tuned(tiny_base, tmp_path, Budget(steps=2))
    assert again.digest == outcome.digest
    further = tuned(tiny_base, tmp_path, Budget(steps=3))
    assert further.archive.as_json()[: len(outcome.archive)] != []
    assert [c.id for c in outcome.archive] == [c.id for c in further.archive][: len(outcome.archive)]


def test_its_recipes_also_name_the_passages_that_chose_those_it_began_with(
    tiny_base: BaseModel, tmp_path: Path
) -> None:
    other = Candidate.named("other", replace(ROOTS[1].recipe, searched=("of-another-run",)))
    outcome = tuned(tiny_base, tmp_path, Budget(steps=0), (ROOTS[0], other))
    learnt = {unit_id(context) for context in (*split().selecting, *split().confirming)}
    for file in (outcome.recipe, *outcome.recipes.iterdir()):
        assert set(recipe_named(str(file)).searched) == learnt | {"of-another-run"}


def test_a_budget_in_minutes_ends_the_search(tiny_base: BaseModel, tmp_path: Path) -> None:
    outcome = tuned(tiny_base, tmp_path, Budget(minutes=1e-6))
    assert [candidate.name for candidate in outcome.archive] == ["default"], "the first stage of the default is done"
    with pytest.raises(InputError, match="needs an end"):
        Budget()


def test_a_unit_scores_each_recipe_as_if_it_were_alone(tiny_base: BaseModel) -> None:
    slow = replace(DEFAULT, inner_loop=replace(DEFAULT.inner_loop, epochs=3, targets=("all",)))
    trials = tuple(RecipeTrial(recipe, split().selecting) for recipe in (DEFAULT, slow))
    together = evaluate(TuneUnit("b", trials, split().neutral, 0), worker(tiny_base))
    for trial, scores in zip(trials, together.scores, strict=True):
        (alone,) = evaluate(TuneUnit("b", (trial,), split().neutral, 0), worker(tiny_base)).scores
        assert [score.passage for score in alone] == [score.passage for score in scores]
        assert [score.tokens for score in alone] == [score.tokens for score in scores]
    assert all(seconds > 0 for seconds in together.seconds)
    assert together.scores[1][0].tokens == 3 * together.scores[0][0].tokens


class Told:
    """A laboratory that knows the accuracy of each candidate."""

    def __init__(self, harm: dict[str, float] | None = None, **accuracies: tuple[float, ...]) -> None:
        self._accuracies, self._harm = accuracies, harm or {}

    def measure(self, step: int, probes: list[Probe]) -> list[tuple[PassageScore, ...]]:
        return [
            tuple(
                PassageScore(str(i), accuracy, self._harm.get(probe.candidate.name, 0.0))
                for i, accuracy in enumerate(self._accuracies[probe.candidate.name])
            )
            for probe in probes
        ]

    def proposer(self, archive: Archive, step: int, place: int) -> None:
        return None


@pytest.mark.parametrize(
    ("accuracies", "kept", "words"),
    [
        ((0.9, 0.8, 0.9, 0.7, 0.9), "best", "answers more questions than default on 5 confirming passages"),
        ((0.5, 0.7, 0.3, 0.5, 0.5), "default", "is not surely better than default"),
        ((0.1, 0.1, 0.2, 0.1, 0.1), "default", "answers fewer questions than default"),
        ((0.9, 0.7, 0.7, 0.5, 0.5), "default", "is not surely better than default"),
        ((0.9, 0.8, 0.9, 0.7), "default", "on 4 confirming passages: +0.325. 5 are the least for an interval"),
    ],
)
def test_a_winner_that_is_not_better_says_so_and_the_default_stays(
    accuracies: tuple[float, ...], kept: str, words: str
) -> None:
    archive = Archive(1.0)
    best = Candidate("best", DEFAULT, "stepped", "best", (ROOTS[0].id,))
    for candidate in (*ROOTS, best):
        archive.add(candidate)
    told = Told(best=accuracies, default=(0.5,) * 5, paper=(0.1,) * 5)
    confirmation = confirm(best, archive, split().confirming, told)
    assert confirmation.kept.label == kept
    assert words in confirmation.verdict()
    assert ("default stays" in confirmation.verdict()) == (kept == "default")
    assert [comparison.over.name for comparison in confirmation.comparisons] == ["default", "paper"]


def test_a_winner_that_harms_too_much_on_the_confirming_passages_is_not_kept() -> None:
    archive = Archive(0.25)
    best = Candidate("best", DEFAULT, "stepped", "best", (ROOTS[0].id,))
    for candidate in (*ROOTS, best):
        archive.add(candidate)
    told = Told(harm={"best": 0.4}, best=(0.9,) * 5, default=(0.5,) * 5, paper=(0.1,) * 5)
    confirmation = confirm(best, archive, split().confirming, told)
    assert confirmation.kept.label == "default"
    assert "Texts about other things become +40% more perplexing, which is more than +25%." in confirmation.verdict()
    assert confirmation.verdict().endswith("default stays.")


@pytest.mark.parametrize(("accuracies", "kept"), [((0.1,) * 5, "default"), ((0.9, 0.8, 0.9, 0.7, 0.9), "best")])
def test_where_the_default_leads_the_best_other_is_confirmed(accuracies: tuple[float, ...], kept: str) -> None:
    archive = Archive(1.0)
    best = Candidate("best", DEFAULT, "stepped", "best", (ROOTS[0].id,))
    for candidate in (*ROOTS, best):
        archive.add(candidate)
    told = Told(best=accuracies, default=(0.5,) * 5, paper=(0.1,) * 5)
    confirmation = confirm(best, archive, split().confirming, told, leads=False)
    assert confirmation.kept.label == kept
    assert confirmation.verdict().startswith("Of all that was tried, nothing is surer to be good than default; next is")
    assert ("default stays" in confirmation.verdict()) == (kept == "default")


def test_where_nothing_but_the_default_can_be_used_nothing_is_confirmed() -> None:
    archive = Archive(1.0)
    for candidate in ROOTS:
        archive.add(candidate)
    confirmation = confirm(ROOTS[0], archive, split().confirming, Told())
    assert confirmation.kept == ROOTS[0]
    assert "nothing but default can be used" in confirmation.verdict()
    assert len(confirmation.archive) == 0


def test_the_best_rival_is_the_best_but_the_default() -> None:
    archive, names = Archive(0.25), ("default", "good", "fair", "harmful")
    for name, accuracy, harm in zip(names, (0.8, 0.7, 0.6, 0.9), (0.0, 0.0, 0.0, 0.5), strict=True):
        archive.add(Candidate(name, DEFAULT, "named", name))
        archive.record(name, [PassageScore(str(i), accuracy, harm, 9) for i in range(6)])
    rival = best_rival(archive, archive["default"], 0.05)
    assert rival
    assert rival.id == "good"
    assert best_rival(archive, archive["fair"], 0.05) == archive["default"]
    for name in ("good", "fair"):
        archive.drop(name)
    assert best_rival(archive, archive["default"], 0.05) is None


def test_a_setting_that_is_added_and_off_leaves_a_runs_manifest_as_it_was(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LATER, "width", CONFIG.width)  # type: ignore[arg-type]
    assert "width" not in settings(tiny_base, ROOTS, split(), CONFIG, True)["tune"]
    assert "width" in settings(tiny_base, ROOTS, split(), replace(CONFIG, width=0.5), True)["tune"]


def test_a_run_whose_ledger_has_another_form_is_refused(tiny_base: BaseModel, tmp_path: Path) -> None:
    now = settings(tiny_base, ROOTS, split(), CONFIG, True)
    Run(tmp_path, {name: value for name, value in now.items() if name != "ledger"}, {}).close()
    with pytest.raises(InputError, match=r'ledger was null, is "by recipe and passage"; .*choose another --run'):
        Run(tmp_path, now, {})


@pytest.mark.parametrize("name", ["default", "paper", "distill", "passage", "ttt"])
def test_a_recipe_is_the_same_after_it_was_written_and_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_toml(RECIPES[name], 'as "measured" → here'), encoding="utf-8")
    read = recipe_named(str(tmp_path))
    assert replace(read, searched=False, summary="") == replace(RECIPES[name], searched=False, summary="")
    assert read.summary == 'as "measured" → here'


def test_a_folder_without_a_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no recipe\.toml"):
        recipe_named(str(tmp_path))


def test_the_archive_begins_with_the_named_recipes_the_default_first() -> None:
    names = [candidate.name for candidate in named_candidates()]
    assert names[:2] == ["default", "paper"]
    assert {"implications", "rewrite", "passage", "paper/self-qa"} <= set(names)
    assert not {"base", "in_context", "retrieval", "ttt", "random"} & set(names)
    assert [candidate.name for candidate in named_candidates(["passage"])] == ["default", "passage"]
    with pytest.raises(InputError, match="learns nothing"):
        named_candidates(["in_context"])


def test_a_forecast_leaves_room_for_confirming() -> None:
    roots = named_candidates()
    config = replace(CONFIG, stages=(2, 6, 24), confirming=24)
    expected = reckon(roots, config, Budget(minutes=90), seconds_per_passage=10)
    assert expected.confirming == 3 * 24
    assert expected.searched == 540 - 72
    assert expected.candidates == round(468**config.width)
    assert expected.seconds == 5400
    by_steps = reckon(roots, config, Budget(steps=10, minutes=90), seconds_per_passage=10)
    assert by_steps.searched == 2 * len(roots) + 10 * 2 * 8
