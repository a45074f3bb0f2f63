"""Output of `seal train`: the plan before a run, the status of a run, and its result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
    """Show the counts of a planned run and its expected time."""
    seconds = pace.expected(planned, config)
    if as_json:
        counts = {"self_edits_in_all": planned.rounds * planned.self_edits, "adapters": planned.adapters}
        print_json(
            **asdict(planned), **counts, units=planned.units, expected_seconds=round(seconds, 1), pace=asdict(pace)
        )
        return
    total_edits = planned.rounds * planned.self_edits
    _print(
        f"  rounds         {planned.rounds}; the policy learns in {planned.learning}, {planned.rows} self-edits at most"
    )
    _print(f"  contexts       {planned.contexts} in each round")
    _print(f"  self-edits     {planned.self_edits} in each round, {total_edits} in all")
    if planned.trains:
        _print(f"  adapters       {planned.adapters} in all, in {planned.units} units")
        _print(f"  questions      {planned.questions} in all, those asked of the base model too")
    _print(f"  expected time  {console.duration(seconds)} on one worker like this machine")
    trial = "adapter trained and asked" if planned.trains else "text judged"
    _print(
        f"That is from {console.duration(pace.spent)} of calibration just now: {pace.self_edit:.2f} s a self-edit "
        f"({pace.written} at once), {pace.trial:.2f} s an {trial} ({pace.tried} at once), {pace.row:.2f} s a winner "
        "learnt once. Larger batches are faster, so it is rather less."
    )


def show_result(run: RunResult, folder: Path, model: str, merge: Path | None, as_json: bool) -> None:
    """Show the rewards of every round, and where the report, the policy and the merged model are."""
    if as_json:
        print_json(
            rounds=[_round_json(result) for result in run.results],
            policy=str(run.policy) if run.policy else None,
            report={"markdown": str(run.markdown), "html": str(run.html)},
            merged=str(merge) if merge and run.policy else None,
            digest=run.digest,
            stopped=run.stopped or None,
        )
        return
    for row in map(_round_json, run.results):
        _print(
            f"round {row['round'] + 1}: reward {_number(row['reward'])}, reporting half {_number(row['reporting'])}; "
            f"{row['kept']} of {row['self_edits']} self-edits kept"
        )
    if run.stopped:
        _print(f"stopped early after round {len(run.results)}: {run.stopped}")
    _print(f"report   {run.markdown}\n         {run.html}")
    if run.policy is None:
        _print(_why_no_policy(run))
        return
    _print(f"policy   {run.policy}")
    _print(f'use it   SelfAdaptingModel.from_pretrained("{model}", policy="{folder}")')
    _print(f"         seal adapt FILE.txt --model {model} --policy {folder}")
    if merge:
        _print(f"merged   {merge}")


def _why_no_policy(run: RunResult) -> str:
    """Why a run has no policy: it collapsed too soon, every evaluation failed, or no self-edit was good enough."""
    if run.stopped:
        return (
            "the collapse came before there was a policy to trust, so there is none: train with labelled questions, or "
            "with more contexts"
        )
    outcomes = [outcome for result in run.results for edit in result.scored_edits() for outcome in edit.outcomes]
    if outcomes and all(outcome.reward is None for outcome in outcomes):
        ((reason, count),) = Counter(outcome.reason or "" for outcome in outcomes).most_common(1)
        is_asked_again = any(outcome.failed_stage in ("grading", "judging") for outcome in outcomes)
        fix = "give the same command again: it asks the judge anew" if is_asked_again else "begin in another --run"
        return f"all {len(outcomes)} evaluations failed, {count} of them because {reason}: mend that, and {fix}"
    return "no self-edit was worth more than its passage alone, so there is no policy: try more --edits or --contexts"


def _round_json(result: RoundResult) -> dict[str, Any]:
    return {
        "round": result.round,
        "reward": result.mean,
        "reporting": result.reporting_mean,
        "self_edits": sum(1 for _ in result.scored_edits()),
        "kept": sum(len(context.kept) for context in result.contexts),
        "rejected": result.rejected,
        "failed": result.failed,
        "policy": result.policy,
        "next_policy": result.next_policy,
    }


def show_status(folder: Path, as_json: bool) -> None:
    """Show the progress of the run in a folder. Raises InputError where there is none."""
    from seal_agent.outer_loop.archive.status import read_status
    from seal_agent.store.policies import flagged_policies

    status, flagged = read_status(folder), flagged_policies(folder)
    if as_json:
        print_json(**_status_json(status), forgotten=flagged)
        return
    for round_ in status.rounds:
        stages = " · ".join(f"{stage.stage} {stage.done}/{stage.total}" for stage in round_.stages[:-1])
        rewards = _best_and_mean(round_.rewards)
        _print(f"round {round_.round + 1}/{status.plan.rounds}{' ✓' if round_.closed else ''}  {stages}{rewards}")
    for name, dates in flagged.items():
        _print(
            f"⚠ policy {name[:12]} was finetuned on a text that was forgotten on {dates[-1][:10]}, and the run's "
            "ledger still holds that text; train again without it, in a new folder, and delete this one"
        )
    if status.finished:
        why = f", stopped early after round {status.current.round + 1}: {status.stopped}" if status.stopped else ""
        _print(f"finished{why}; see {folder / 'report.md'}")
        return
    pace = f"{60 * status.rate:.1f} units/min, " if status.rate else ""
    left = f"{console.duration(status.left)} of work left" if status.left is not None else "time left not known yet"
    _print(
        f"at {status.current.stage.stage} of round {status.current.round + 1}; {pace}{left}; "
        f"last piece {console.duration(status.idle)} ago"
    )


def _status_json(status: Status) -> dict[str, Any]:
    rounds = [
        {
            **asdict(round_),
            "closed": round_.closed,
            "rewards": len(round_.rewards),
            "best": max(round_.rewards, default=None),
            "mean": sum(round_.rewards) / len(round_.rewards) if round_.rewards else None,
        }
        for round_ in status.rounds
    ]
    return {
        "finished": status.finished,
        "stopped": status.stopped or None,
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


def _print(text: str) -> None:
    console.out.print(text, markup=False, soft_wrap=True)
