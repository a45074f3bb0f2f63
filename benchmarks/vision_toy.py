"""Does a model that sees learn from pictures? A small one, trained on the spot, of invented pictures of shapes.

    python benchmarks/vision_toy.py                       # 25 minutes of training, then about an hour of measuring
    python benchmarks/vision_toy.py --minutes 1 --pictures 2 --voted 4 --out /tmp/toy.json

Three questions, each answered with a 95 % interval. The same command goes on where it was stopped.

1. Does the model see? Questions about pictures that it was not trained on, with the picture in view.
2. Does it learn pictures by `adapt`? Each gets an invented title; questions about it are asked closed-book, under the
   title alone, before and after. Nobody gives it a caption: it learns what its own samples agree on.
3. Do votes help where nobody labelled anything (MM-UPT)? It asks itself about new pictures, and the vote of its sampled
   answers is the label: `seal train --pictures` in small. Measured with a picture in view, on other pictures and
   questions, before and after: by the likeliest answer, and by answers sampled like those that were voted on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from parts import results_file
from parts.shapes import Scene, scene
from parts.vision_toy_model import GRID, SIDE, seeing_folder

from seal_agent.base_model.loading import load_model
from seal_agent.config import PictureConfig, PictureVotesConfig
from seal_agent.errors import CollapseError, InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.grader import Grader
from seal_agent.grading.graders import default_grader
from seal_agent.images.pictures import as_picture
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.picture_votes import VoteRound, learn_by_votes
from seal_agent.outer_loop.policy import POLICIES, load_policy
from seal_agent.paths import cache_home
from seal_agent.self_edits.pictures import asked_of
from seal_agent.types import Context, Picture, Question, Sampling, Verdict

SEEN, LEARNT, VOTED, HELD_OUT = 0, 200, 400, 600  # numbers of the first scene of each kind
QUESTIONS = 3  # about each picture
SAMPLES = 4  # answers to each, where they are sampled
VOTES = PictureConfig(samples=8, temperature=1.0, questions=4)

Asked = tuple[str, Picture, Question]


def main() -> None:
    options = _options()
    folder = options.folder or cache_home() / f"vision-toy-{options.seed}-{options.minutes:g}"
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        name: getattr(options, name)
        for name in ("minutes", "seed", "pictures", "voted", "held_out", "rounds", "update")
    }
    run, rows = results_file.describe_run(), results_file.load(options.out, config)
    model = SelfAdaptingModel(
        load_model(seeing_folder(folder, options.minutes, options.seed), device="cpu"),
        home=folder / "store",
        seed=options.seed,
    )
    for row in _rows(model, options, {(row["part"], row["key"]) for row in rows}, folder):
        rows.append(row)
        results_file.save(options.out, config, run, rows)
    summary = summarise(rows)
    results_file.save(options.out, config, run, rows, summary=summary)
    print("\n" + table(summary))
    print(json.dumps(summary))


def _rows(
    model: SelfAdaptingModel, options: argparse.Namespace, done: set[tuple[str, str]], folder: Path
) -> Iterator[dict[str, Any]]:
    """Every measurement that is not done yet."""
    if ("see", "all") not in done:
        asked = asked_about(scenes_from(SEEN, options.held_out, options.seed))
        yield {"part": "see", "key": "all", "right": answers(model, asked, None)}
    for one in scenes_from(LEARNT, options.pictures, options.seed):
        if ("adapt", one.title) not in done:
            yield {"part": "adapt", "key": one.title, **learn(model, one)}
    if ("votes", "all") not in done:
        yield {"part": "votes", "key": "all", **vote(model, options, folder)}


# ---------------------------------------------------------------- one part each


def learn(model: SelfAdaptingModel, one: Scene) -> dict[str, Any]:
    """Adapt to one picture; its questions closed-book before and after. A picture that is refused changes nothing."""
    questions = tuple(asked.question for asked in one.questions[: QUESTIONS + 1])
    context = Context("", one.title, questions, images=(one.image(),))
    try:
        revision = model.adapt(context, adapter=one.title.replace(" ", "-"), gate=None)
    except InputError as err:
        print(f"  {one.title}: {err}", flush=True)
        return {"refused": str(err), "before": [0.0] * len(questions), "after": [0.0] * len(questions)}
    before, after = ([float(a.verdict is Verdict.CORRECT) for a in side] for side in (revision.before, revision.after))
    print(f"  {one.title}: {sum(before):g} → {sum(after):g} of {len(questions)}", flush=True)
    return {
        "before": before,
        "after": after,
        "passages": revision.passages,
        "caption": one.caption,
    }


def vote(model: SelfAdaptingModel, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train on votes about pictures without labels; other pictures before and after."""
    held_out = asked_about(scenes_from(HELD_OUT, options.held_out, options.seed))
    before = _answered(model, held_out, None)
    scenes = {as_picture(one.image()).sha256: one for one in scenes_from(VOTED, options.voted, options.seed)}
    pictures = [as_picture(one.image()) for one in scenes.values()]
    config = PictureVotesConfig(rounds=options.rounds, update=options.update, pictures=VOTES, seed=options.seed)
    run, rounds, stopped = Run(folder / f"votes-{options.update}", asdict(config), {}), list[VoteRound](), ""
    try:
        learn_by_votes(model.base, model.engine, pictures, config, run, on_round=rounds.append)
    except CollapseError as err:
        stopped = str(err)
    finally:
        run.close()
    facts = [
        {"questions": len(one.questions), "learnt": one.learnt, "agreement": one.agreement, "entropy": one.entropy}
        | rightness(one, scenes)
        for one in rounds
    ]
    print(f"  votes: {facts} {stopped}", flush=True)
    last = rounds[-1].next_policy
    policy = load_policy(run.folder / POLICIES / last, model.base.identity).adapter if last else None
    after = _answered(model, held_out, policy) if policy else before
    return {"rounds": facts, "stopped": stopped, "before": before, "after": after}


def _answered(model: SelfAdaptingModel, asked: Sequence[Asked], adapter: LoraAdapter | None) -> dict[str, list[float]]:
    """By the likeliest answer, and by answers sampled as those that were voted on."""
    return {
        "greedy": answers(model, asked, adapter),
        "sampled": answers(model, list(asked) * SAMPLES, adapter, VOTES.temperature),
    }


def rightness(voted: VoteRound, scenes: Mapping[str, Scene]) -> dict[str, float]:
    """Of the questions that a scene has an answer to: the share of right votes, and that of right sampled answers."""
    grader, votes, sampled = default_grader(), list[float](), list[float]()
    for one in voted.questions:
        known = {asked.question.text.casefold(): asked.question for asked in scenes[one.picture].questions}
        if question := known.get(one.question.casefold()):
            votes.append(_right(grader, question, one.vote))
            sampled.append(fmean(_right(grader, question, answer) for answer in one.answers))
    return {"known": len(votes), "votes_right": fmean(votes), "answers_right": fmean(sampled)} if votes else {}


def answers(
    model: SelfAdaptingModel, asked: Sequence[Asked], adapter: LoraAdapter | None, temperature: float = 0.0
) -> list[float]:
    """The share of each picture's questions that are answered right with the picture in view."""
    engine, grader = HFEngine(model.base), default_grader()
    prompts = [asked_of(title, picture, question.text) for title, picture, question in asked]
    sampling = Sampling(24, temperature=temperature, seed=model.seed)
    completions = engine.generate(prompts, sampling, [adapter] * len(prompts))
    right: dict[str, list[float]] = {}
    for (_, picture, question), completion in zip(asked, completions, strict=True):
        right.setdefault(picture.sha256, []).append(_right(grader, question, completion.text.strip()))
    return [fmean(of_picture) for of_picture in right.values()]


def _right(grader: Grader, question: Question, answer: str) -> float:
    return float(grader.grade(question.text, question.golds, answer) is Verdict.CORRECT)


def asked_about(scenes: Sequence[Scene]) -> list[Asked]:
    """A few questions about each picture, evenly spread over its kinds."""
    asked = []
    for one in scenes:
        picture, every = as_picture(one.image()), one.questions
        chosen = {i * len(every) // QUESTIONS for i in range(QUESTIONS)}
        asked += [("", picture, every[i].question) for i in sorted(chosen)]
    return asked


def scenes_from(start: int, count: int, seed: int) -> list[Scene]:
    return [scene(seed, number, GRID, SIDE) for number in range(start, start + count)]


# ---------------------------------------------------------------- figures


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means with 95 % bootstrap intervals; over pictures; differences are paired."""
    by_part = {part: [row for row in rows if row["part"] == part] for part in ("see", "adapt", "votes")}
    (see,), (votes,) = by_part["see"], by_part["votes"]
    before, after = ([fmean(row[side]) for row in by_part["adapt"]] for side in ("before", "after"))
    return {
        "see": _mean(see["right"]),
        "adapt": {
            **_compared(before, after),
            "refused": sum("refused" in row for row in by_part["adapt"]),
        },
        "votes": {
            **{way: _compared(votes["before"][way], votes["after"][way]) for way in ("greedy", "sampled")},
            "rounds": votes["rounds"],
            "stopped": votes["stopped"],
        },
    }


def _compared(before: Sequence[float], after: Sequence[float]) -> dict[str, Any]:
    rise = [now - then for then, now in zip(before, after, strict=True)]
    return {"before": _mean(before), "after": _mean(after), "gain": _mean(rise)}


def _mean(values: Sequence[float]) -> dict[str, Any]:
    return {"mean": fmean(values), "interval": results_file.interval(values), "n": len(values)}


def table(summary: dict[str, Any]) -> str:
    """The summary as Markdown."""
    lines = ["| | before | after | gain |", "|---|---|---|---|"]
    lines.append(f"| picture in view, as trained | {_cell(summary['see'])} | | |")
    for name, part in (
        ("closed-book, by `adapt`", summary["adapt"]),
        ("picture in view, by votes", summary["votes"]["greedy"]),
        ("the same, answers sampled at temperature 1", summary["votes"]["sampled"]),
    ):
        lines.append(f"| {name} | {' | '.join(_cell(part[side]) for side in ('before', 'after', 'gain'))} |")
    return "\n".join(lines)


def _cell(value: dict[str, Any]) -> str:
    low, high = value["interval"]
    return f"{value['mean']:.1%} ({low:.1%} to {high:.1%}, n = {value['n']})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=25.0, help="of training the model that sees")
    parser.add_argument("--pictures", type=int, default=24, help="learnt by adapt")
    parser.add_argument("--voted", type=int, default=80, help="pictures without labels")
    parser.add_argument("--rounds", type=int, default=2, help="of votes")
    parser.add_argument("--update", choices=("grpo", "best-of-n"), default="grpo")
    parser.add_argument("--held-out", type=int, default=80, help="pictures that are only measured")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="of the model and its store; default: in the cache folder")
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "vision_toy.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
