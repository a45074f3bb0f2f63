"""The archive grows: staged, bounded, the same each time, and towards better recipes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from tuning_fakes import DEFAULT, ROOTS, Landscape, passages

from seal_agent.config import TuneConfig
from seal_agent.errors import InputError
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, PassageScore
from seal_agent.outer_loop.tuning.attribution import attributions
from seal_agent.outer_loop.tuning.costs import cost_of, is_too_dear
from seal_agent.outer_loop.tuning.evidence import shown
from seal_agent.outer_loop.tuning.front import Point, front_of
from seal_agent.outer_loop.tuning.search import Steps, best, search
from seal_agent.outer_loop.tuning.settings import Change
from seal_agent.outer_loop.tuning.stages import Probe, leave_early

PASSAGES = passages(24)
CONFIG = TuneConfig()


def grown(steps: int = 40, landscape: Landscape | None = None, **changes: object) -> tuple[Archive, Landscape]:
    landscape = landscape or Landscape()
    config = replace(CONFIG, **changes)
    return search(ROOTS, PASSAGES, config, landscape, Steps(steps)), landscape


def test_the_same_seed_grows_the_same_archive_and_another_another():
    assert grown()[0].as_json() == grown()[0].as_json()
    assert grown()[0].as_json() != grown(seed=1)[0].as_json()


@pytest.mark.parametrize("rule", ["clade", "dgm"])
def test_what_it_ends_with_is_better_than_what_it_began_with(rule: str):
    archive, landscape = grown(parents=rule)
    winner = best(archive, CONFIG.percentile)
    assert landscape.quality(winner.recipe) > landscape.quality(DEFAULT) + 0.3
    assert winner.parents


def test_candidates_are_measured_in_stages_and_the_archive_grows_no_faster_than_its_evidence():
    archive, landscape = grown()
    assert {len(archive.scores(candidate.id)) for candidate in archive} <= {2, 6, 24}
    per_step = Counter(step for step, _, _ in landscape.measured)
    assert max(per_step.values()) <= CONFIG.children
    assert len(archive) <= archive.passages_measured() ** CONFIG.width + 1
    assert any(len(archive.scores(candidate.id)) == 24 for candidate in archive)


def test_who_lies_below_its_parent_leaves_but_stays_in_the_archive():
    archive = Archive(1.0)
    parent, child, good = ROOTS[0], *(Candidate(name, DEFAULT, "stepped", "", (ROOTS[0].id,)) for name in "ab")
    for candidate, accuracy in ((parent, 0.8), (child, 0.2), (good, 0.75)):
        archive.add(candidate)
        spread = (-0.1, 0.1) if candidate is good else (0, 0)
        archive.record(candidate.id, [PassageScore(p, accuracy + d) for p, d in zip("pqrstu", 3 * spread, strict=True)])
        leave_early(archive, candidate, parent.id)
    assert archive.left(child.id).startswith("below default by -0.600 [-0.600, -0.600] on 6")
    assert not archive.left(good.id)
    assert not archive.left(parent.id)
    assert child.id in archive.viable(), "a child may come of it all the same"


def test_nobody_leaves_by_the_interval_of_two_passages():
    archive = Archive(1.0)
    child = Candidate("a", DEFAULT, "stepped", "", (ROOTS[0].id,))
    for candidate, accuracy in ((ROOTS[0], 0.8), (child, 0.2)):
        archive.add(candidate)
        archive.record(candidate.id, [PassageScore(p, accuracy) for p in "pq"])
        leave_early(archive, candidate, ROOTS[0].id)
    assert not archive.left("a")


def test_nobody_leaves_by_three_of_six_passages():
    """Resampled, these differences would all but never have a mean above zero; equal recipes often look so."""
    archive = Archive(1.0)
    child = Candidate("a", DEFAULT, "stepped", "", (ROOTS[0].id,))
    for candidate, accuracies in ((ROOTS[0], (0.6,) * 6), (child, (0.2, 0.4, 0.4, 0.6, 0.6, 0.6))):
        archive.add(candidate)
        archive.record(candidate.id, [PassageScore(str(i), accuracy) for i, accuracy in enumerate(accuracies)])
        leave_early(archive, candidate, ROOTS[0].id)
    assert not archive.left("a")


def test_a_child_that_costs_too_much_is_refused_and_one_that_turns_out_so_leaves():
    archive = Archive(1.0)
    archive.add(ROOTS[0])
    archive.record(ROOTS[0].id, [PassageScore("p", 0.5, tokens=100)])
    long = replace(DEFAULT, inner_loop=replace(DEFAULT.inner_loop, epochs=6))
    child = Candidate("long", long, "stepped", "", (ROOTS[0].id,))
    assert cost_of(archive, child, ROOTS[0].id) == 6, "six epochs instead of one, known before anything is trained"
    assert is_too_dear(archive, child, ROOTS[0].id)
    assert not is_too_dear(archive, replace(child, kind="named", parents=()), ROOTS[0].id), "it was asked for"
    grown_, _ = grown()
    assert max(candidate.recipe.inner_loop.epochs for candidate in grown_) == 5, "epochs are one in the default"
    surprise = Candidate("surprise", DEFAULT, "stepped", "", (ROOTS[0].id,))
    archive.add(surprise)
    archive.record("surprise", [PassageScore("p", 0.5, tokens=700)])
    leave_early(archive, surprise, ROOTS[0].id)
    assert archive.left("surprise") == "trains on 7.0 times the tokens of default, more than 5"


def test_of_recipes_that_are_as_good_the_cheapest_wins():
    archive = Archive(1.0)
    dear, cheap = ROOTS[0], Candidate("cheap", DEFAULT, "stepped", "", (ROOTS[0].id,))
    for candidate, accuracy, tokens in ((dear, 0.501, 900), (cheap, 0.5, 300)):
        archive.add(candidate)
        archive.record(candidate.id, [PassageScore(str(p), accuracy, tokens=tokens) for p in range(6)])
    assert best(archive, 0.05) is cheap
    archive.record(dear.id, [PassageScore(str(p), 0.9, tokens=900) for p in range(6)])
    assert best(archive, 0.05) is dear


def test_who_harms_too_much_is_not_viable_and_loses_every_passage():
    archive, _ = grown(landscape=Landscape(harmful_epochs=2))
    harmful = [candidate for candidate in archive if candidate.recipe.inner_loop.epochs > 2]
    assert harmful
    for candidate in harmful:
        assert archive.left(candidate.id).startswith("harm of +50%")
        assert archive.node(candidate.id).wins == 0
    assert best(archive, 0.05) not in harmful


def test_what_could_not_be_trained_is_lost_and_what_could_not_be_graded_is_unknown():
    archive = Archive(1.0)
    archive.add(ROOTS[0])
    lost, unknown = PassageScore("p", 0.0, failure="the loss is nan"), PassageScore("r", None, 0.3, 9, "not graded")
    archive.record(ROOTS[0].id, [lost, PassageScore("q", 0.5, 0.1, 10), unknown])
    assert archive.accuracy(ROOTS[0].id).mean == 0.25
    assert (archive.node(ROOTS[0].id).wins, archive.node(ROOTS[0].id).losses) == (0.5, 1.5)
    assert (archive.harm(ROOTS[0].id), archive.tokens(ROOTS[0].id)) == (0.1, 10), "of adapters that were trained"
    archive.add(ROOTS[1])
    archive.record(ROOTS[1].id, [PassageScore("p", 0.0, failure="the loss is nan")])
    assert not archive.is_viable(ROOTS[1].id)
    leave_early(archive, ROOTS[1], ROOTS[0].id)
    assert archive.left(ROOTS[1].id) == "nothing could be measured: the loss is nan"


def test_the_front_holds_who_is_beaten_by_nobody_in_all_three():
    best_, fast, gentle = Point("a", 0.9, 9, 0.2, 6), Point("b", 0.5, 1, 0.2, 6), Point("c", 0.5, 9, 0.0, 6)
    beaten = Point("d", 0.5, 9, 0.2, 6)
    assert front_of([beaten, gentle, fast, best_]) == [best_, gentle, fast]
    lucky = Point("e", 1.0, 0.5, 0.0, 2)
    assert lucky not in front_of([lucky, beaten, gentle, fast, best_], least=6), "on two passages alone"
    assert front_of([lucky], least=6) == [lucky]


def test_where_no_recipe_is_viable_the_archive_grows_all_the_same():
    archive, _ = grown(landscape=Landscape(harmful_epochs=0), steps=3)
    assert len(archive) > len(ROOTS)
    assert not archive.viable()
    assert best(archive, 0.05) in list(archive)


@dataclass(frozen=True, slots=True)
class EveryOther(Steps):
    """Has room for every other probe of a step after the first."""

    def admitted(self, archive: Archive, step: int, probes: Sequence[Probe]) -> list[Probe]:
        admitted = Steps.admitted(self, archive, step, probes)
        return admitted[1::2] if step else admitted


def test_where_no_recipe_is_viable_nothing_unmeasured_has_children():
    archive = search(ROOTS, PASSAGES, CONFIG, Landscape(harmful_epochs=0), EveryOther(8))
    assert not archive.viable()
    children = [candidate for candidate in archive if candidate.parents]
    assert children
    assert all(parent in archive for child in children for parent in child.parents)
    archive.add(Candidate("new", DEFAULT, "stepped", "", (ROOTS[0].id,)))
    assert best(archive, 0.05).id != "new"


def test_the_attribution_finds_the_setting_that_matters():
    archive = Archive(1.0)
    archive.add(ROOTS[0])
    archive.record(ROOTS[0].id, [PassageScore("p", 0.5)])
    epochs, rank = Change("inner_loop.epochs", 1, 4), Change("inner_loop.rank", 2, 8)
    for number, (changes, accuracy) in enumerate([((epochs,), 0.9), ((epochs, rank), 0.7), ((rank,), 0.4)]):
        archive.add(Candidate(str(number), DEFAULT, "stepped", "", (ROOTS[0].id,), changes))
        archive.record(str(number), [PassageScore("p", accuracy)])
    first, second = attributions(archive)
    assert (first.setting, first.gain.count, first.alone) == ("inner_loop.epochs", 2, 1)
    assert first.gain.mean == pytest.approx(0.3)
    assert shown(first.gain) == "+0.300", "two children are no interval"
    assert (second.setting, second.gain.mean) == ("inner_loop.rank", pytest.approx(0.05))


def test_stages_rise():
    with pytest.raises(InputError, match="stages rise"):
        TuneConfig(stages=(6, 2))
