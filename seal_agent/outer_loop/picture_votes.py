"""Learning to see better without labels: votes over a model's own answers about pictures (MM-UPT).

    for each round:
        questions   ~ policy(. | picture), written by itself
        answers     ~ policy(. | picture, question), several per question
        label       = the answer that most of them give; reward 1 for an answer that agrees with it, else 0
        policy      = the policy after a step of GRPO, or finetuned on the labels (best-of-n)

MM-UPT: Wei et al., 2025, arXiv 2505.22453. Questions whose answers all agree teach nothing and carry no gradient.
Answers that cannot be read are shown and not counted. Each round is recorded once it is finished.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean

from seal_agent.base_model.model import BaseModel
from seal_agent.config import PictureVotesConfig
from seal_agent.errors import CollapseError
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.collapse import CollapseWatch
from seal_agent.outer_loop.policies import stand_for
from seal_agent.outer_loop.policy import load_policy, mark_last, save_policy
from seal_agent.outer_loop.rounds import RoundResult
from seal_agent.progress import Progress
from seal_agent.prompts import fill, load_prompt
from seal_agent.seeds import derived_seed
from seal_agent.self_edits.pictures import Vote, is_answer, sampled_answers, vote_key, vote_of, written_questions
from seal_agent.store.policies import POLICIES
from seal_agent.training.jobs import TrainJob
from seal_agent.training.policy_gradient import Sampled, update_policy
from seal_agent.training.sequences import encode_in_view
from seal_agent.training.train import train
from seal_agent.types import Note, Picture, content_hash

ANSWERS = ("picture-answers",)
"""What a policy of this loop writes."""


@dataclass(frozen=True, slots=True)
class VotedQuestion:
    """A question about a picture, given by its hash, the sampled answers, and their vote."""

    picture: str
    question: str
    answers: tuple[str, ...]
    vote: str
    share: float
    unreadable: int

    @property
    def unanimous(self) -> bool:
        """Whether all readable answers agree, so that there is nothing to learn."""
        return len({vote_key(answer) for answer in self.answers if is_answer(answer)}) <= 1


@dataclass(frozen=True, slots=True)
class VoteRound:
    """One round: which policy answered, what was voted, and the policy that learned from it.

    `entropy` is the mean over questions of the entropy of their readable answers, in nats; None without questions.
    """

    round: int
    policy: str
    next_policy: str
    questions: tuple[VotedQuestion, ...]
    entropy: float | None
    learnt: int
    """Questions that carried a gradient."""

    @property
    def agreement(self) -> float:
        """Mean share of the vote, 0..1."""
        return fmean(question.share for question in self.questions) if self.questions else 0.0

    @property
    def unreadable(self) -> int:
        return sum(question.unreadable for question in self.questions)


def learn_by_votes(
    base: BaseModel,
    engine: Engine,
    pictures: Sequence[Picture],
    config: PictureVotesConfig,
    run: Run,
    *,
    progress: Callable[[int, str, int, int], None] = lambda *_: None,
    on_round: Callable[[VoteRound], None] = lambda _: None,
) -> list[VoteRound]:
    """Run all rounds, skipping those that the run's ledger holds; the policies lie in the run's folder.

    Raises InputError for a model that does not see, or that cannot be trained with a picture in view. Raises
    CollapseError where the answers no longer differ at all, before anything is learnt from them: earlier rounds
    and their policies remain, and the run's folder stands for the one before the policy that gave those answers.

    Args:
        progress: Called with the round, the stage, what is done and what is to do.
        on_round: Called with each round, also those that were finished before.
    """
    base.sight.check_learns_in_view(base.name, "choose another model that sees for votes")
    watch, policy, name, before, rounds = CollapseWatch(), None, "", "", list[VoteRound]()
    folder = run.folder / POLICIES
    for number in range(config.rounds):
        key = content_hash([number, name, [picture.sha256 for picture in pictures], asdict(config), base.identity])
        recorded = run.find(key, VoteRound)
        is_lost = recorded and recorded.next_policy and not (folder / recorded.next_policy).is_dir()
        done = None if is_lost else recorded
        started = time.perf_counter()
        result, rows = (done, []) if done else _voted(base, engine, pictures, config, number, (name, policy), progress)
        collapse = _collapse(watch, result)
        if rows and not collapse:
            learned = _learned(base, rows, config, number, policy, progress)
            result = replace(result, next_policy=save_policy(learned, ANSWERS, base, folder), learnt=len(rows))
            mark_last(folder, result.next_policy)
        if not done:
            run.record(key, "votes", number, result, time.perf_counter() - started, again=True)
        rounds.append(result)
        on_round(result)
        if collapse:
            stand_for(before, folder)
            raise collapse
        if result.next_policy != name:
            before, name = name, result.next_policy
            policy = load_policy(folder / name, base.identity).adapter
    return rounds


_Row = tuple[Picture, str, Sequence[str], Vote]
"""A picture, a question about it, the sampled answers, and their vote."""


def _voted(
    base: BaseModel,
    engine: Engine,
    pictures: Sequence[Picture],
    config: PictureVotesConfig,
    number: int,
    writer: tuple[str, LoraAdapter | None],
    progress: Callable[[int, str, int, int], None],
) -> tuple[VoteRound, list[_Row]]:
    """The questions, answers and votes of one round, and those from which there is something to learn."""
    name, policy = writer

    def report(stage: str) -> Progress:
        return lambda done, total: progress(number, stage, done, total)

    seed, titled = derived_seed(config.seed, "votes", number), [("", picture) for picture in pictures]
    written = written_questions(engine, titled, config.pictures, policy, seed=seed, progress=report("questions"))
    asked = [("", pictures[i], question) for i, question in written]
    answers = sampled_answers(engine, asked, config.pictures, policy, seed=seed, progress=report("answers"))
    votes = [vote_of(of_question) for of_question in answers]
    voted = tuple(
        VotedQuestion(picture.sha256, question, tuple(texts), vote.answer, vote.share, len(vote.unreadable))
        for (_, picture, question), texts, vote in zip(asked, answers, votes, strict=True)
    )
    taught = [i for i, question in enumerate(voted) if question.vote and not question.unanimous]
    entropy = fmean(map(entropy_of, answers)) if answers else None
    rows: list[_Row] = [(asked[i][1], asked[i][2], answers[i], votes[i]) for i in taught]
    return VoteRound(number, name, name, voted, entropy, learnt=0), rows


def _collapse(watch: CollapseWatch, result: VoteRound) -> CollapseError | None:
    """What ends a run with a round; None where nothing does."""
    try:
        watch.check(RoundResult(result.round, result.policy, result.next_policy, (), (), result.entropy))
    except CollapseError as err:
        return err
    return None


def _learned(
    base: BaseModel,
    rows: Sequence[_Row],
    config: PictureVotesConfig,
    number: int,
    policy: LoraAdapter | None,
    progress: Callable[[int, str, int, int], None],
) -> LoraAdapter:
    """The policy after a round's votes."""
    learn = _by_gradient if config.update == "grpo" else _by_labels
    return learn(base, rows, config, policy, lambda done, total: progress(number, "learn", done, total))


def _by_gradient(
    base: BaseModel,
    rows: Sequence[_Row],
    config: PictureVotesConfig,
    policy: LoraAdapter | None,
    progress: Progress,
) -> LoraAdapter:
    """A step of GRPO: an answer that agrees with the vote earns 1, another 0; the unreadable earn nothing."""
    groups = [
        [
            Sampled(
                encode_in_view(base, "", Note(_asked(question), text), picture),
                float(vote_key(text) == vote_key(vote.answer)),
            )
            for text in texts
            if is_answer(text)
        ]
        for picture, question, texts, vote in rows
    ]
    return update_policy(base, groups, config.gradient, policy, progress).adapter


def _by_labels(
    base: BaseModel,
    rows: Sequence[_Row],
    config: PictureVotesConfig,
    policy: LoraAdapter | None,
    progress: Progress,
) -> LoraAdapter:
    """Best of n: finetune on the votes."""
    labelled = [(picture, question, vote.answer) for picture, question, _, vote in rows]
    sequences = tuple(encode_in_view(base, "", Note(_asked(q), answer), p) for p, q, answer in labelled)
    (trained,) = train(base, [TrainJob(sequences, config.finetuning, policy)], progress)
    return trained.adapter


def _asked(question: str) -> str:
    return fill(load_prompt("answer-picture"), question=question)


def entropy_of(answers: Sequence[str]) -> float:
    """The entropy of the groups of equal readable answers, in nats; 0 where none can be read."""
    counts = Counter(vote_key(answer) for answer in answers if is_answer(answer))
    total = sum(counts.values())
    return -sum(count / total * math.log(count / total) for count in counts.values()) if total else 0.0
