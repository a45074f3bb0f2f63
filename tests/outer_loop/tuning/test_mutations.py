"""Children: one to three settings, always new, and their success by kind."""

from __future__ import annotations

import json
import random

from tuning_fakes import DEFAULT, ROOTS

from seal_agent.adaptation.provenance import recipe_key
from seal_agent.config import RECIPES
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, PassageScore, success_of
from seal_agent.outer_loop.tuning.mutations import MAX_CHANGES, crossed, make_child, read_proposal, stepped
from seal_agent.outer_loop.tuning.proposals import proposal_prompt
from seal_agent.outer_loop.tuning.settings import changed


def an_archive(*roots: Candidate) -> Archive:
    archive = Archive(1.0)
    for root in roots or ROOTS:
        archive.add(root)
        archive.record(root.id, [PassageScore("p", 0.5), PassageScore("q", 0.5)])
    return archive


def proposed(*changes: tuple[str, object]) -> str:
    return json.dumps({"changes": [{"setting": name, "value": value} for name, value in changes]})


def test_children_change_one_to_three_settings_and_are_new():
    archive = an_archive()
    for step in range(60):
        child = make_child(archive, step, "clade", random.Random(step), None)
        assert child
        assert child.id not in archive
        assert 1 <= len(child.changes) <= MAX_CHANGES
        parent = archive[child.parents[0]]
        assert recipe_key(changed(parent.recipe, child.changes)) == child.id == recipe_key(child.recipe)
        archive.add(child)
        archive.record(child.id, [PassageScore("p", 0.5)])
    assert {child.kind for child in archive} == {"named", "stepped", "crossed"}


def test_a_crossover_takes_settings_of_the_other_parent():
    default, paper = Candidate.named("default", RECIPES["default"]), Candidate.named("paper", RECIPES["paper"])
    for seed in range(20):
        for change in crossed(default, paper, random.Random(seed)):
            table, _, name = change.setting.partition(".")
            value = getattr(getattr(paper.recipe, table), name)
            assert change.new == ("+".join(value) if isinstance(value, tuple) else value)


def test_a_step_leaves_alone_what_the_formats_do_not_use():
    of_evidence = {"self_edit.cues", "self_edit.synonyms", "inner_loop.openings", "self_edit.per_sentence"}
    changes = {change.setting for seed in range(200) for change in stepped(ROOTS[0], random.Random(seed))}
    assert not changes & of_evidence, "the notes of these recipes are rewrites"
    assert "inner_loop.epochs" in changes


def test_a_proposal_is_read_without_what_changes_nothing_or_comes_twice():
    text = proposed(("inner_loop.epochs", 4), ("inner_loop.rank", DEFAULT.inner_loop.rank), ("inner_loop.epochs", 9))
    assert [str(change) for change in read_proposal(text, ROOTS[0])] == ["inner_loop.epochs 1 → 4"]
    assert read_proposal(text[:20], ROOTS[0]) == ()
    assert read_proposal("", ROOTS[0]) == ()


def test_a_proposal_that_gives_nothing_new_counts_as_a_failure_and_a_step_takes_its_place():
    archive = an_archive()
    kinds = []
    for seed in range(40):
        child = make_child(archive, 0, "clade", random.Random(seed), lambda parent: proposed())
        assert child
        kinds.append(child.kind)
    assert "proposed" not in kinds
    failed = archive.failed_mutations["proposed"]
    assert 0 < failed < 20, "a kind that fails is drawn less and less"
    assert success_of(archive, "proposed") == (0, failed)


def test_success_is_a_child_that_does_better_than_its_parent_where_both_were_measured():
    archive = an_archive(ROOTS[0])
    for number, (score, passage) in enumerate([(0.9, "p"), (0.1, "p"), (0.5, "p"), (1.0, "elsewhere")]):
        child = Candidate(str(number), DEFAULT, "stepped", "", (ROOTS[0].id,))
        archive.add(child)
        archive.record(child.id, [PassageScore(passage, score)])
    assert success_of(archive, "stepped") == (1, 3)


def test_the_prompt_shows_the_results_of_the_parent_and_what_was_tried():
    archive = an_archive()
    child = make_child(archive, 1, "clade", random.Random(0), None)
    assert child
    assert child.parent
    archive.add(child)
    archive.record(child.id, [PassageScore("p", 0.75)])
    prompt = proposal_prompt(archive, archive[child.parent])
    assert "answers 50% of the questions about 2 texts" in prompt
    assert f"{child.changes[0]}" in prompt
    assert "+25% right answers" in prompt
    assert "inner_loop.epochs = " in prompt
    assert "nothing yet" in proposal_prompt(archive, child)


def failed(name: str = "p") -> PassageScore:
    return PassageScore(name, 0.0, failure="the loss is not finite")


def test_the_prompt_says_so_of_a_recipe_that_could_not_be_trained():
    archive = Archive(1.0)
    archive.add(ROOTS[0])
    archive.record(ROOTS[0].id, [failed()])
    assert "could not be trained: the loss is not finite" in proposal_prompt(archive, ROOTS[0])


def test_where_nothing_is_viable_what_could_be_trained_has_the_children():
    archive = Archive(1.0)
    for root in ROOTS:
        archive.add(root)
        archive.record(root.id, [failed()])
    asked: list[str] = []

    def propose(parent: Candidate) -> str:
        asked.append(parent.id)
        proposal_prompt(archive, parent)
        return proposed()

    for seed in range(20):
        assert make_child(archive, 0, "clade", random.Random(seed), propose), "nothing was trained: any has children"
    assert set(asked) == {root.id for root in ROOTS}
    archive.record(ROOTS[1].id, [PassageScore("q", 0.0, tokens=9)])
    children = [make_child(archive, 0, "clade", random.Random(seed), propose) for seed in range(20)]
    assert {child.parents for child in children if child} == {(ROOTS[1].id,)}
