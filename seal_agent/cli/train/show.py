"""What `seal train` says: the plan before a run, how far one is, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent.cli import console
from seal_agent.cli.options import print_json

if TYPE_CHECKING:
    from seal_agent.config import OuterLoopConfig
    from seal_agent.outer_loop.archive.status import Status
    from seal_agent.outer_loop.learn import RunResult
    from seal_agent.outer_loop.plan import Pace, Plan
    from seal_agent.outer_loop.rounds import RoundResult


def show_plan(planned: Plan, pace: Pace, config: OuterLoopConfig, as_json: bool) -> None:
    seconds = pace.expected(planned, config)
    if as_json:
        counts = {"self_edits_in_all": planned.rounds * planned.self_edits, "adapters": planned.adapters}
        print_json(
            **asdict(planned), **counts, units=planned.units, expected_seconds=round(seconds, 1), pace=asdict(pace)
        )
        return
    say, in_all = _sayer(), planned.rounds * planned.self_edits
    say(
        f"  rounds         {planned.rounds}; the policy learns in {planned.learning}, {planned.rows} self-edits at most"
    )
    say(f"  contexts       {planned.contexts} in each round")
    say(f"  self-edits     {planned.self_edits} in each round, {in_all} in all")
    if planned.trains:
        say(f"  adapters       {planned.adapters} in all, in {planned.units} units")
        say(f"  questions      {planned.questions} in all, those asked of the base model too")
    say(f"  expected time  {console.duration(seconds)} on one worker like this machine")
    tried = "adapter trained and asked" if planned.trains else "text judged"
    say(
        f"That is from {console.duration(pace.spent)} of calibration just now: {pace.self_edit:.2f} s a self-edit "
        f"({pace.written} at once), {pace.trial:.2f} s an {tried} ({pace.tried} at once), {pace.row:.2f} s a winner "
        "learnt once. Larger batches are faster, so it is rather less."
    )


def show_learnt(learnt: RunResult, folder: Path, model: str, merge: Path | None, as_json: bool) -> None:
    if as_json:
        print_json(
            rounds=[_round_json(result) for result in learnt.results],
            policy=str(learnt.policy) if learnt.policy else None,
            report={"markdown": str(learnt.markdown), "html": str(learnt.html)},
            merged=str(merge) if merge and learnt.policy else None,
            digest=learnt.digest,
        )
        return
    say = _sayer()
    for one in map(_round_json, learnt.results):
        say(
            f"round {one['round'] + 1}: reward {_number(one['reward'])}, reporting half {_number(one['reporting'])}; "
            f"{one['kept']} of {one['self_edits']} self-edits kept"
        )
    say(f"report   {learnt.markdown}\n         {learnt.html}")
    if learnt.policy is None:
        say("no self-edit was worth more than its passage alone, so there is no policy: try more --edits or --contexts")
        return
    say(f"policy   {learnt.policy}")
    say(f'use it   SelfAdaptingModel.from_pretrained("{model}", policy="{folder}")')
    say(f"         seal adapt FILE.txt --model {model} --policy {folder}")
    if merge:
        say(f"merged   {merge}")


def _round_json(result: RoundResult) -> dict[str, Any]:
    return {
        "round": result.round,
        "reward": result.mean,
        "reporting": result.reporting_mean,
        "self_edits": sum(1 for _ in result.every()),
        "kept": sum(len(context.kept) for context in result.contexts),
        "rejected": result.rejected,
        "failed": result.failed,
        "policy": result.policy,
        "next_policy": result.next_policy,
    }


def show_status(folder: Path, as_json: bool) -> None:
    from seal_agent.outer_loop.archive.status import read_status

    status = read_status(folder)
    if as_json:
        print_json(**_status_json(status))
        return
    say = _sayer()
    for one in status.rounds:
        stages = " · ".join(f"{stage.stage} {stage.done}/{stage.total}" for stage in one.stages[:-1])
        rewards = _best_and_mean(one.rewards)
        say(f"round {one.round + 1}/{status.plan.rounds}{' ✓' if one.closed else ''}  {stages}{rewards}")
    if status.finished:
        say(f"finished; see {folder / 'report.md'}")
        return
    pace = f"{60 * status.rate:.1f} units/min, " if status.rate else ""
    left = f"{console.duration(status.left)} of work left" if status.left is not None else "time left not known yet"
    say(
        f"at {status.current.stage.stage} of round {status.current.round + 1}; {pace}{left}; "
        f"last piece {console.duration(status.idle)} ago"
    )


def _status_json(status: Status) -> dict[str, Any]:
    rounds = [
        {
            **asdict(one),
            "closed": one.closed,
            "rewards": len(one.rewards),
            "best": max(one.rewards, default=None),
            "mean": sum(one.rewards) / len(one.rewards) if one.rewards else None,
        }
        for one in status.rounds
    ]
    return {
        "finished": status.finished,
        "round": status.current.round,
        "stage": status.current.stage.stage,
        "units_per_second": status.rate,
        "seconds_left": status.left,
        "seconds_since_last_piece": round(status.idle, 1),
        "rounds": rounds,
    }


def _best_and_mean(rewards: Sequence[float]) -> str:
    return f"  best {max(rewards):+.2f} mean {sum(rewards) / len(rewards):+.2f}" if rewards else ""


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:+.3f}"


def _sayer() -> Callable[[str], None]:
    return lambda text: console.out.print(text, markup=False, soft_wrap=True)
