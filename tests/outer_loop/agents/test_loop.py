"""The loop of an agent: curriculum, gate, lessons, scorer and shortcuts, with a scripted engine and real training."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from agent_runs import CONFIG, stages, world
from doors import Doors, DoorsEngine

from seal_agent.agents.environments.environment import Task
from seal_agent.agents.exploring.attempts import begin
from seal_agent.agents.exploring.worlds import Worlds
from seal_agent.agents.trajectories.lesson import in_words
from seal_agent.agents.trajectories.lines import read_trajectories
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.agents.trajectories.trajectory import Step
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError, TooLongError
from seal_agent.outer_loop.agents.curriculum import split_tasks
from seal_agent.outer_loop.agents.gate import decide
from seal_agent.outer_loop.agents.lessons import lessons_of, starts_again
from seal_agent.outer_loop.agents.report import gain, success
from seal_agent.outer_loop.agents.rounds import ScorerReport, TaskResult
from seal_agent.outer_loop.agents.run import learn_agent
from seal_agent.outer_loop.agents.stages import AgentStages
from seal_agent.outer_loop.agents.status import is_agent_run, read_agent_status
from seal_agent.outer_loop.agents.units import AgentUnit, ScorerChoice, Weights
from seal_agent.outer_loop.policy import load_policy
from seal_agent.store.policies import text_hash
from seal_agent.types import ToolCall

TASKS = [Task(f"{grade}-{i}", f"Do {grade}-{i}.", grade, f"f{i % 2}") for grade in (1, 2, 3) for i in range(8)]


def result(task: str, done: bool, grade: int = 1) -> TaskResult:
    return TaskResult(task, grade, "", done, 1, False)


def test_each_round_goes_one_grade_further_and_never_touches_what_is_held_out() -> None:
    curriculum = split_tasks(TASKS, 0.25, seed=0)
    assert [sum(task.grade == grade for task in curriculum.held_out) for grade in (1, 2, 3)] == [2, 2, 2]
    assert {task.family for task in curriculum.measured(1)} == {"f0", "f1"}
    rounds = [curriculum.draw(round_, 6, seed=0) for round_ in range(5)]
    assert [max(task.grade for task in tasks) for tasks in rounds] == [1, 2, 3, 3, 3]
    assert sum(task.grade == 2 for task in rounds[1]) == 3
    assert all(len(set(tasks)) == 6 for tasks in rounds)
    assert not {task.id for tasks in rounds for task in tasks} & {task.id for task in curriculum.held_out}
    assert curriculum.draw(1, 6, seed=0) == rounds[1]


def test_a_curriculum_needs_tasks_that_differ() -> None:
    with pytest.raises(InputError, match="none to train on"):
        split_tasks(TASKS, 1.0, 0)
    with pytest.raises(InputError, match="same id"):
        split_tasks([TASKS[0], TASKS[0]], 0.0, 0)
    assert split_tasks(TASKS, 0.0, 0).held_out == ()


def test_a_policy_that_fails_earlier_tasks_is_not_promoted() -> None:
    before = [result(str(i), done=True) for i in range(6)]
    one_lost = [result(str(i), done=i > 0) for i in range(6)]
    three_lost = [result(str(i), done=i > 2) for i in range(6)]
    assert decide(before, one_lost, 0.34).promoted
    assert not decide(before, one_lost, 0.0).promoted
    assert not decide(before[:1], one_lost[:1], 0.34).promoted, "one of one is all that was done"
    refused = decide(before, three_lost, 0.34)
    assert (refused.promoted, refused.lost) == (False, ("0", "1", "2"))
    assert decide(three_lost, before, 0.34).promoted
    assert "none could be lost" in decide([result("a", False)], [result("a", False)], 0.34).reason


@pytest.mark.parametrize(
    ("done", "lost", "new", "promoted"),
    [
        (1, 1, 11, True),
        (2, 1, 10, True),
        (2, 2, 10, False),
        (2, 1, 1, False),
        (3, 1, 0, True),
        (6, 3, 20, False),
    ],
)
def test_one_task_of_a_few_may_be_lost_where_more_are_new(done: int, lost: int, new: int, promoted: bool) -> None:
    before = [result(str(i), done=i < done) for i in range(done + new)]
    after = [result(str(i), done=i >= lost) for i in range(done + new)]
    assert decide(before, after, 0.34).promoted is promoted
    assert not decide(before, after, 0.0).promoted


def rollout(task: str, *names: str, success: bool = True) -> Rollout:
    return Rollout(task, "Go.", 0, tuple(Step("", ToolCall(name, "{}")) for name in names), "", success)


def test_the_shortest_successes_are_learnt_each_once() -> None:
    some = [rollout("a", "x", "y", "z"), rollout("a", "z"), rollout("a", "z"), rollout("a", "x", "z")]
    kept = lessons_of([*some, rollout("b", "x", success=False)], kept=2)
    assert [len(each.steps) for each in kept] == [1, 2]


def test_a_failed_task_is_tried_again_from_steps_spread_over_its_longest_attempt() -> None:
    task = Task("a", "Go.", 1)
    failed = [rollout("a", "v", success=False), rollout("a", *"uvwxyz", success=False)]
    starts = starts_again(task, 0, failed, steps=3, tries=2)
    assert [len(start.calls) for start in starts] == [0, 0, 2, 2, 4, 4]
    assert starts_again(task, 0, [*failed, rollout("a", "z")], steps=3, tries=2) == []
    assert starts_again(task, 0, failed, steps=0, tries=2) == []


def test_gains_are_paired_by_task_and_of_the_grades_that_were_asked_for() -> None:
    before = [result("a", False), result("b", True), result("c", False, grade=2)]
    after = [result("b", True), result("a", True), result("c", True, grade=2)]
    rise = gain(before, after, (1,))
    assert rise is not None
    assert (rise.mean, rise.count) == (0.5, 2)
    assert success(after, (3,)) is None


def in_families(done: Sequence[bool], each: int = 2) -> list[TaskResult]:
    """Results of as many families, whose tasks are done or not together."""
    return [
        TaskResult(f"{f}-{i}", 1, f"f{f}", is_done, 1, False) for f, is_done in enumerate(done) for i in range(each)
    ]


def test_intervals_are_over_families_since_their_tasks_succeed_together() -> None:
    """Copies of a family's task say nothing new, so no interval is narrower with them."""
    before, after = [False] * 12, [i < 4 for i in range(12)]
    rises = [gain(in_families(before, each), in_families(after, each), (1,)) for each in (1, 5)]
    assert [(rise.low, rise.high) for rise in rises] == [pytest.approx((rises[0].low, rises[0].high))] * 2
    shares = [success(in_families(after, each)) for each in (1, 5)]
    assert [(share.low, share.high) for share in shares] == [pytest.approx((shares[0].low, shares[0].high))] * 2
    assert (rises[1].count, shares[1].count) == (60, 60)


def test_equal_policies_seldom_seem_better() -> None:
    """2.5 % of the intervals should lie above zero, and as many below; 15 families of two tasks each."""
    draw, above = random.Random(0), 0
    for _ in range(2000):
        before, after = ([draw.random() < 0.3 for _ in range(15)] for _ in range(2))
        rise = gain(in_families(before), in_families(after), (1,))
        above += rise is not None and rise.low > 0
    assert 0.01 < above / 2000 < 0.04


def test_of_one_family_and_of_one_task_there_is_an_interval_too() -> None:
    """Of one family over its tasks; of one task it says nothing."""
    some = gain(in_families([False], 8), in_families([True], 8)[:4] + in_families([False], 8)[4:], (1,))
    assert some is not None
    assert 0 < some.low < 0.5 < some.high < 1
    only = gain(in_families([False], 1), in_families([True], 1), (1,))
    assert only is not None
    assert (only.mean, only.low, only.high) == (1.0, -1.0, 1.0)


def test_a_units_key_names_the_policy_and_not_how_many_environments_are_open() -> None:
    unit = AgentUnit("explore", "base", "doors", (Start(TASKS[0]),), Weights("p"), CONFIG.exploration, 1.0, 0, Doors)
    assert replace(unit, config=replace(CONFIG.exploration, environments=1)).key == unit.key
    assert replace(unit, policy=Weights("q")).key != unit.key
    assert replace(unit, scorer=ScorerChoice()).key != unit.key
    assert pickle.loads(pickle.dumps(unit)) == unit, "it is sent to other processes"


def test_two_rounds_learn_report_and_leave_what_was_learnt(tiny_base: BaseModel, tmp_path: Path) -> None:
    engine = DoorsEngine()
    at_work = stages(tiny_base, tmp_path / "run", engine)
    opened = Doors.opened
    finished = learn_agent(at_work)
    assert Doors.opened == opened
    first, last = finished.results.rounds
    assert {task.grade for task in first.explored} == {1}
    assert {task.grade for task in last.explored} == {1, 2}
    assert first.lessons <= last.lessons
    assert first.gate.promoted
    assert sum(each.success for each in last.held_out) > sum(each.success for each in finished.results.base)
    assert finished.policy is not None
    assert load_policy(tmp_path / "run").adapter.pairs.keys() == load_policy(finished.policy).adapter.pairs.keys()
    lessons = read_trajectories(finished.trajectories)
    assert len(lessons) == last.lessons
    assert all(lesson.is_lesson and lesson.verified_by == "environment:doors" for lesson in lessons)
    held = {task.goal for task in at_work.world.tasks.held_out}
    assert not {lesson.goal for lesson in lessons} & held, "held-out tasks are never trained on"
    report = finished.markdown.read_text()
    for heading in ("Success on held-out tasks", "Scorer", "Shortcuts", "Gate", "Screenshots", "Time by stage"):
        assert f"## {heading}" in report
    assert (tmp_path / "run" / "pictures" / "1.png").read_bytes().startswith(b"\x89PNG")
    status = read_agent_status(tmp_path / "run")
    assert status.finished
    assert is_agent_run(tmp_path / "run")
    at_work.run.close()


def test_the_scorer_chooses_only_above_its_bound_and_shortcuts_are_counted(
    tiny_base: BaseModel, tmp_path: Path
) -> None:
    """An untrained scorer that likes everything would learn every shortcut; the environment's verdict learns none."""
    likes_all = DoorsEngine(likelihood=lambda prompt, said: 0.0 if said == "yes" else -3.0)
    config = replace(
        CONFIG,
        exploration=replace(CONFIG.exploration, candidates=12, paths=3),
        tasks=6,
        held_out=0.0,
        scorer_labels=60,
        least_f1=0.0,
        held_out_labels=0.5,
    )
    at_work = stages(tiny_base, tmp_path / "low", likes_all, config)
    first, last = learn_agent(at_work).results.rounds
    at_work.run.close()
    assert first.scorer.quality is not None
    assert first.scorer.quality.tasks == 3
    assert first.scorer.quality.is_enough
    assert not first.selected, "nobody has measured the first round's scorer"
    assert last.selected
    assert last.scorer.hard > 0
    assert first.shortcuts.taken > 0
    assert (first.shortcuts.by_scorer_alone, first.shortcuts.with_verdict) == (first.shortcuts.taken, 0)
    strict = stages(tiny_base, tmp_path / "high", likes_all, replace(config, least_f1=1.0))
    assert not any(round_.selected for round_ in learn_agent(strict).results.rounds)
    strict.run.close()
    few = stages(tiny_base, tmp_path / "few", likes_all, replace(config, tasks=3))
    first, last = learn_agent(few).results.rounds
    few.run.close()
    assert not first.scorer.selects, "its F1 rests on one task"
    assert not last.selected


def test_a_policy_that_lost_what_was_done_before_stays_out(tiny_base: BaseModel, tmp_path: Path) -> None:
    class Forgetful(DoorsEngine):
        """Only the base model does anything right."""

        def _act(self, prompt: object, adapter: object, sampling: object, row: int) -> str:
            if adapter:
                return json.dumps({"name": "win", "arguments": {}})
            turns = getattr(prompt, "turns", prompt)
            said = " ".join(turn.content for turn in turns if turn.role == "user")
            return self._right(said, said.split(" door")[0].split()[-1])

    at_work = stages(tiny_base, tmp_path / "run", Forgetful(), replace(CONFIG, rounds=1))
    finished = learn_agent(at_work)
    (only,) = finished.results.rounds
    at_work.run.close()
    assert only.lessons > 0
    assert not only.gate.promoted
    assert only.next_policy == ""
    assert finished.policy is None
    assert "not promoted" in finished.markdown.read_text()
    assert finished.trajectories.read_text() == "", "what a refused policy learnt is not recommended"


def test_without_a_single_success_nothing_is_learnt_and_the_report_says_so(
    tiny_base: BaseModel, tmp_path: Path
) -> None:
    class Hopeless(DoorsEngine):
        def _act(self, prompt: object, adapter: object, sampling: object, row: int) -> str:
            return json.dumps({"name": "win", "arguments": {}})

    at_work = stages(tiny_base, tmp_path / "run", Hopeless(), replace(CONFIG, rounds=1))
    finished = learn_agent(at_work)
    at_work.run.close()
    (only,) = finished.results.rounds
    assert (only.lessons, only.candidate, finished.policy) == (0, "", None)
    assert only.scorer == ScorerReport("learnt")
    assert finished.trajectories.read_text() == ""


def test_a_finished_run_is_read_from_its_ledger(tiny_base: BaseModel, tmp_path: Path) -> None:
    at_work = stages(tiny_base, tmp_path / "run", DoorsEngine(), replace(CONFIG, rounds=1))
    first = learn_agent(at_work)
    at_work.run.close()
    silent = DoorsEngine(script=lambda prompt, adapter: pytest.fail("it was asked again"))
    silent.generate = lambda *args, **named: pytest.fail("it was asked again")  # type: ignore[method-assign]
    again = stages(tiny_base, tmp_path / "run", silent, replace(CONFIG, rounds=1))
    assert learn_agent(again).digest == first.digest
    again.run.close()


def test_other_settings_are_refused(tiny_base: BaseModel, tmp_path: Path) -> None:
    stages(tiny_base, tmp_path / "run", DoorsEngine()).run.close()
    with pytest.raises(InputError, match=r"agent_loop.tries was"):
        stages(tiny_base, tmp_path / "run", DoorsEngine(), replace(CONFIG, tries=5))
    more_open = replace(CONFIG, exploration=replace(CONFIG.exploration, environments=1))
    stages(tiny_base, tmp_path / "run", DoorsEngine(), more_open).run.close()


def with_later_settings(text: str) -> str:
    """A manifest as it was where settings that are off were written down too."""
    manifest = json.loads(text)
    for part in ("policy", "scorer"):
        manifest["config"]["agent_loop"][part] |= {"full": False, "full_answers": 0}
    return json.dumps(manifest)


@pytest.mark.parametrize("before", [str, with_later_settings], ids=["before they were there", "where they are written"])
def test_a_run_goes_on_whether_or_not_it_knew_settings_that_came_later(
    tiny_base: BaseModel, tmp_path: Path, before: Callable[[str], str]
) -> None:
    stages(tiny_base, tmp_path / "run", DoorsEngine()).run.close()
    manifest = tmp_path / "run" / "manifest.json"
    assert "full" not in json.loads(manifest.read_text())["config"]["agent_loop"]["policy"]
    manifest.write_text(before(manifest.read_text()))
    stages(tiny_base, tmp_path / "run", DoorsEngine()).run.close()
    full = replace(CONFIG, policy=replace(CONFIG.policy, full=True))
    with pytest.raises(InputError, match=r"agent_loop\.policy\.full was"):
        stages(tiny_base, tmp_path / "run", DoorsEngine(), full)


def test_finished_work_of_a_run_is_found_by_the_settings_that_decided_it(tiny_base: BaseModel, tmp_path: Path) -> None:
    """So also where a setting comes later that is off, and whether steps could say that they failed or not."""
    at_work = stages(tiny_base, tmp_path / "run", DoorsEngine())
    facts = at_work._label_settings()
    assert "full" not in facts[0]
    assert facts[0]["rank"] == CONFIG.scorer.rank
    worked, failed = (Step("", ToolCall("go", "{}"), failed) for failed in (False, True))
    assert "failed" not in worked.facts
    assert failed.facts["failed"]
    at_work.run.close()


def test_attempts_are_recorded_in_small_pieces_and_each_tells_how_far_it_is(
    tiny_base: BaseModel, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    at_work = stages(tiny_base, tmp_path / "run", DoorsEngine(), replace(CONFIG, tasks_per_unit=6))
    at_work.progress = lambda round_, stage, done, total, rewards=(): told.append((stage, done, total))
    tasks = at_work.world.tasks.draw(0, 4, 0)
    at_work.explore(0, tasks, Weights(), None)
    assert at_work.run.counts()[0, "explore"] == 2
    within = [done for stage, done, total in told if (stage, total) == ("explore", 4)]
    assert within == sorted(within)
    assert {0, 2, 4} < set(within), "a task of a unit is told of before the unit is recorded"
    at_work.run.close()


def test_environments_stay_open_from_unit_to_unit_and_are_closed_whatever_happens(
    tiny_base: BaseModel, tmp_path: Path
) -> None:
    made: list[Counting] = []

    class Counting(Doors):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    at_work = stages(tiny_base, tmp_path / "run", DoorsEngine(), replace(CONFIG, measured_per_unit=1))
    at_work.world = replace(at_work.world, make=Counting)
    opened, tasks = Doors.opened, at_work.world.tasks.held_out
    at_work.measure(0, "measure", tasks, Weights())
    assert len(tasks) > 2
    assert len(made) == 1, "one is enough for one task at a time"
    assert at_work.run.counts()[0, "measure"] == len(tasks)
    at_work.worker.engine.generate = interrupt
    with pytest.raises(KeyboardInterrupt):
        at_work.measure(0, "again", tasks, Weights("other"))
    assert len(made) == 2
    assert Doors.opened == opened
    at_work.run.close()


def test_calls_without_effect_are_not_learnt_where_replaying_is_cheap(tiny_base: BaseModel, tmp_path: Path) -> None:
    at_work = stages(tiny_base, tmp_path / "run", DoorsEngine())
    task = at_work.world.by_id["open-red"]
    calls = [ToolCall("take", '{"key": "red"}')] * 2 + [ToolCall("open", '{"door": "red"}')]
    with Worlds(Doors, 1) as worlds:
        twice = begin(worlds, Start(task, calls=tuple(calls))).rollout()
    assert [len(each.steps) for each in at_work.lessons([twice])] == [3]
    at_work.world = replace(at_work.world, cheap=True)
    assert [len(each.steps) for each in at_work.lessons([twice])] == [2]
    at_work.run.close()


def test_a_task_without_room_to_act_is_told_with_its_environment(tiny_base: BaseModel, tmp_path: Path) -> None:
    at_work = stages(tiny_base, tmp_path / "run", DoorsEngine())
    with pytest.raises(TooLongError, match=r"in the environment doors, the goal 'Open.*Go"):
        at_work.measure(0, "measure", [Task("long", "Open the red door. " + "Go. " * 600, 1)], Weights())
    at_work.run.close()


def test_a_policy_names_the_lessons_that_it_learnt(tiny_base: BaseModel, tmp_path: Path) -> None:
    at_work = stages(tiny_base, tmp_path / "run", DoorsEngine(), replace(CONFIG, rounds=1))
    finished = learn_agent(at_work)
    at_work.run.close()
    lessons = read_trajectories(finished.trajectories)
    assert set(load_policy(tmp_path / "run").contexts) == {text_hash(in_words(lesson)) for lesson in lessons}
    assert lessons


def test_a_world_without_tools_is_refused() -> None:
    class Bare(Doors):
        tools = ()

    with pytest.raises(InputError, match="has no tools"):
        world(CONFIG, Bare)


def test_stages_are_what_the_executor_is_asked_for(tiny_base: BaseModel, tmp_path: Path) -> None:
    at_work: AgentStages = stages(tiny_base, tmp_path / "run", DoorsEngine())
    base = at_work.measure(0, "measure", at_work.world.tasks.held_out, Weights())
    assert [each.task for each in base] == [task.id for task in at_work.world.tasks.held_out]
    at_work.run.close()
