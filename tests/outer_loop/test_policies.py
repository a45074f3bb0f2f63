"""The archive of policies: rounds start from any of them, drawn by what came of their clades."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from outer_loop_fakes import CONFIG, domain, worker

from seal_agent.base_model.model import BaseModel
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.learn import learn, settings
from seal_agent.outer_loop.policies import PolicyArchive, best_policy, policy_nodes
from seal_agent.outer_loop.policy import load_policy
from seal_agent.outer_loop.rewards.reward import QuestionReward
from seal_agent.outer_loop.rounds import ContextResult, RoundResult
from seal_agent.outer_loop.selection import ScoredEdit
from seal_agent.outer_loop.stages import PolicyVersion
from seal_agent.types import Outcome, Reward, SelfEdit


def a_round(number: int, policy: str, child: str | None, won: int, contexts: int = 10) -> RoundResult:
    """Each context has one self-edit, which beats the base model in the first `won` contexts."""
    alone = (Outcome(Reward(0.2, 0.2)),)
    results = tuple(
        ContextResult(
            str(i),
            (ScoredEdit(SelfEdit("rewrite"), (Outcome(Reward(0.5 if i < won else 0.1, 0.2)),)),),
            alone=alone,
        )
        for i in range(contexts)
    )
    return RoundResult(number, policy, child, results)


BLIND_ALLEY = (a_round(0, "", "a", 6), a_round(1, "a", "b", 5), a_round(2, "b", "c", 0), a_round(3, "c", "d", 0))


def test_a_context_is_a_trial_of_the_policy_that_wrote_about_it() -> None:
    nodes = {node.name: node for node in policy_nodes(BLIND_ALLEY)}
    assert [(n.name, n.parent, n.wins, n.losses) for n in nodes.values()] == [
        ("", None, 6, 4),
        ("a", "", 5, 5),
        ("b", "a", 0, 10),
        ("c", "b", 0, 10),
        ("d", "c", 0, 0),
    ]


def test_what_was_judged_as_text_wins_its_mean_reward() -> None:
    def rated(reward: float, rejected: str = "") -> ScoredEdit:
        return ScoredEdit(SelfEdit("rewrite"), (Outcome(Reward(reward, 0.0)),), rejected)

    contexts = (ContextResult("a", (rated(0.25), rated(0.75))), ContextResult("b", (rated(0.5), rated(1.0, "leaks"))))
    base, _ = policy_nodes([RoundResult(0, "", "a", contexts)])
    assert (base.wins, base.losses) == (0.75, 1.25)


def started_from(chooses: bool) -> Counter[str]:
    counts: Counter[str] = Counter()
    for seed in range(60):
        archive = PolicyArchive(chooses, seed)
        for result in BLIND_ALLEY:
            assert result.next_policy
            archive.add(result, PolicyVersion(result.next_policy))
        counts[archive.start(4, learns=True).name] += 1
    return counts


def test_without_an_archive_a_round_starts_from_the_last_policy() -> None:
    assert started_from(False) == {"d": 60}


def test_with_an_archive_it_leaves_a_blind_alley() -> None:
    counts = started_from(True)
    assert counts["c"] + counts["b"] <= 3
    assert counts[""] + counts["a"] > 3
    archive = PolicyArchive(True, 0)
    assert archive.start(0, learns=True) == PolicyVersion(), "there is nothing but the base model at first"
    archive.add(BLIND_ALLEY[0], PolicyVersion("a"))
    assert archive.start(9, learns=False).name == "a", "a round that only measures has the last policy"


def test_the_best_is_the_measured_policy_with_the_surest_wins() -> None:
    assert best_policy(BLIND_ALLEY) == "a"
    assert best_policy(BLIND_ALLEY[:1]) == "a", "not measured, but the only one"
    assert best_policy([a_round(0, "", "", 0)]) == ""


def test_a_run_with_an_archive_reports_it_and_stands_for_its_best_policy(tiny_base: BaseModel, tmp_path: Path) -> None:
    at_work, config = worker(tiny_base), replace(CONFIG, rounds=3, archive=True)
    run = Run(tmp_path, settings(tiny_base, domain(), QuestionReward(), config), {})
    result = learn(domain(), QuestionReward(), config, worker=at_work, executor=InlineExecutor(at_work), run=run)
    run.close()
    assert result.policy
    assert result.policy.name == best_policy(result.results)
    assert (tmp_path / "policy" / "last").read_text().strip() == result.policy.name
    assert load_policy(tmp_path).adapter.pairs
    assert "## Archive of policies" in result.markdown.read_text(encoding="utf-8")
    assert "archive" not in settings(tiny_base, domain(), QuestionReward(), CONFIG)["outer_loop"]
