"""The units of work: notes about some passages, and some candidates, each with the passages that it learns.

Any worker gets the same result of them.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean

from seal_agent.adaptation.lesson import Lesson, job_of, write_lessons
from seal_agent.adaptation.provenance import recipe_key
from seal_agent.answering.questions import answer_questions
from seal_agent.config import AnswerConfig, Recipe, SelfEditConfig, recorded_settings
from seal_agent.errors import (
    AdapterError,
    EngineError,
    MissingDependency,
    ModelError,
    StoreError,
    TrainingError,
    first_line,
)
from seal_agent.generation.engine import Engine, resting
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.tuning.archive import PassageScore
from seal_agent.outer_loop.tuning.stages import passage_id
from seal_agent.outer_loop.units import Worker
from seal_agent.progress import Progress
from seal_agent.training.train import train_each
from seal_agent.types import Answer, Context, Verdict, content_hash

_LOG = logging.getLogger(__name__)

WORST_LOSS = 50.0  # nats per token, for an adapter that says infinity: JSON has no number for it

OF_THE_MACHINE = (AdapterError, EngineError, MissingDependency, ModelError, StoreError)
"""Errors that say nothing about a recipe or a passage: they end the run."""

_SPECIAL = 16  # tokens of the window that a cut text leaves to special ones; not tuned


@dataclass(frozen=True, slots=True)
class WriteUnit:
    """Passages whose notes are written in one batch."""

    base: str
    config: SelfEditConfig
    passages: tuple[Context, ...]
    seed: int

    @property
    def key(self) -> str:
        """Content hash: two units with the same key have the same result."""
        facts = recorded_settings(asdict(self.config)), [asdict(passage) for passage in self.passages]
        return content_hash([self.base, *facts, self.seed])


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The lesson of each passage; None where it could not be written."""

    lessons: tuple[Lesson | None, ...]


@dataclass(frozen=True, slots=True)
class RecipeTrial:
    """A recipe, and the passages of each of which an adapter learns by it.

    `lessons` has one for each passage where they are written already, and None for those that are not; () for none.
    """

    recipe: Recipe
    passages: tuple[Context, ...]
    lessons: tuple[Lesson | None, ...] = ()

    def each(self) -> list[RecipeTrial]:
        """One trial for each passage."""
        lessons = self.lessons or (None,) * len(self.passages)
        return [RecipeTrial(self.recipe, (p,), (lesson,)) for p, lesson in zip(self.passages, lessons, strict=True)]


@dataclass(frozen=True, slots=True)
class TuneUnit:
    """Trials whose adapters are trained side by side; `neutral` are texts whose perplexity shows harm."""

    base: str
    trials: tuple[RecipeTrial, ...]
    neutral: tuple[str, ...]
    seed: int

    @property
    def key(self) -> str:
        """Content hash: two units with the same key have the same result, if the same lessons are given."""
        trials = [[recipe_key(trial.recipe), [asdict(p) for p in trial.passages]] for trial in self.trials]
        return content_hash([self.base, trials, self.neutral, self.seed])


@dataclass(frozen=True, slots=True)
class TuneResult:
    """The scores of each trial's passages, and the seconds that each trial took to train, and to write what was not."""

    scores: tuple[tuple[PassageScore, ...], ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """One adapter to be trained: of which trial, on what."""

    trial: int
    recipe: Recipe
    context: Context
    lesson: Lesson


@dataclass(frozen=True, slots=True)
class _Trained:
    """An adapter, or why there is none, and what it took."""

    adapter: LoraAdapter | None
    tokens: int
    seconds: float
    failure: str = ""


def write(unit: WriteUnit, worker: Worker) -> WriteResult:
    """Write the notes about all passages; where that fails, about each alone."""
    try:
        return WriteResult(_lessons(unit.passages, unit.config, unit.seed, worker))
    except OF_THE_MACHINE:
        raise
    except Exception as err:
        _raise_if_of_the_machine(err)
        if len(unit.passages) == 1:
            return WriteResult((None,))
        _LOG.warning("%s: %s; notes are written passage by passage", type(err).__name__, first_line(err))
    alone = [write(replace(unit, passages=(passage,)), worker) for passage in unit.passages]
    return WriteResult(tuple(result.lessons[0] for result in alone))


def evaluate(unit: TuneUnit, worker: Worker, progress: Progress | None = None) -> TuneResult:
    """Train the adapters, ask each its passage's questions, and see what else it changed.

    Lessons that are not given are written first. Where anything fails for one recipe or passage, each is tried alone,
    and the failing one has its failure as its score.

    Args:
        progress: Called with how many of the unit's passages are learnt, of how many.
    """
    try:
        rows, trained, seconds = _learn(unit, worker, progress)
        return _result(rows, _scores(rows, trained, unit, worker), seconds)
    except OF_THE_MACHINE:
        raise
    except Exception as err:
        _raise_if_of_the_machine(err)
        _LOG.warning("%s: %s; its passages are tried one by one", type(err).__name__, first_line(err))
    trials: list[TuneResult] = []
    for trial in unit.trials:
        alone = [_alone(replace(unit, trials=(each,)), worker) for each in trial.each()]
        scores = tuple(score for result in alone for score in result.scores[0])
        trials.append(TuneResult((scores,), (sum(result.seconds[0] for result in alone),)))
    return TuneResult(tuple(each.scores[0] for each in trials), tuple(each.seconds[0] for each in trials))


def _alone(unit: TuneUnit, worker: Worker) -> TuneResult:
    """The result of one recipe on one passage; a failure is lost where the recipe failed, unknown where grading did."""
    started = time.perf_counter()
    lost: float | None = 0.0
    try:
        rows, trained, seconds = _learn(unit, worker)
        lost = None
        return _result(rows, _scores(rows, trained, unit, worker), seconds)
    except OF_THE_MACHINE:
        raise
    except Exception as err:
        _raise_if_of_the_machine(err)
        failure = f"{type(err).__name__}: {first_line(err)}"
        score = PassageScore(passage_id(unit.trials[0].passages[0]), lost, failure=failure)
        return TuneResult(((score,),), (time.perf_counter() - started,))


def _raise_if_of_the_machine(err: Exception) -> None:
    """Raise EngineError for a full disk or a broken GPU. Memory that ran out is the recipe's own failure."""
    is_broken_gpu = isinstance(err, RuntimeError) and "CUDA error" in str(err) and "out of memory" not in str(err)
    if isinstance(err, OSError) or is_broken_gpu:
        raise EngineError(
            f"this machine failed, not a recipe ({first_line(err)}); mend that, and give the same command again"
        ) from err


def _learn(
    unit: TuneUnit, worker: Worker, progress: Progress | None = None
) -> tuple[list[_Row], list[_Trained], list[float]]:
    """The rows of a unit, their adapters, and the seconds of each trial."""
    rows, seconds = _write(unit, worker)
    trained = _train(rows, unit, worker, progress)
    for row, each in zip(rows, trained, strict=True):
        seconds[row.trial] += each.seconds
    return rows, trained, seconds


def _result(rows: Sequence[_Row], scores: Sequence[PassageScore], seconds: Sequence[float]) -> TuneResult:
    of_trials: list[list[PassageScore]] = [[] for _ in seconds]
    for row, score in zip(rows, scores, strict=True):
        of_trials[row.trial].append(score)
    return TuneResult(tuple(map(tuple, of_trials)), tuple(seconds))


def _write(unit: TuneUnit, worker: Worker) -> tuple[list[_Row], list[float]]:
    """The lessons of all trials, and the seconds of writing each. Trials that write alike share what is written."""
    written: dict[tuple[SelfEditConfig, tuple[Context, ...]], tuple[tuple[Lesson, ...], float]] = {}
    rows: list[_Row] = []
    seconds: list[float] = []
    for number, trial in enumerate(unit.trials):
        each = trial.each()
        config, missing = trial.recipe.self_edit, tuple(t.passages[0] for t in each if t.lessons[0] is None)
        if (config, missing) not in written:
            started = time.perf_counter()
            own = _lessons(missing, config, unit.seed, worker)
            written[config, missing] = own, time.perf_counter() - started
        own, spent = written[config, missing]
        seconds.append(spent if missing else 0.0)
        new = iter(own)
        rows += [_Row(number, trial.recipe, t.passages[0], t.lessons[0] or next(new)) for t in each]
    return rows, seconds


def _lessons(passages: Sequence[Context], config: SelfEditConfig, seed: int, worker: Worker) -> tuple[Lesson, ...]:
    return tuple(write_lessons(worker.engine, worker.base, passages, config, seed=seed)) if passages else ()


def _train(rows: Sequence[_Row], unit: TuneUnit, worker: Worker, progress: Progress | None = None) -> list[_Trained]:
    """The adapter of each row. Those that train the same layers share a bank, and its time by their tokens."""
    trained: dict[int, _Trained] = {}
    for targets in dict.fromkeys(row.recipe.inner_loop.targets for row in rows):
        places = [i for i, row in enumerate(rows) if row.recipe.inner_loop.targets == targets]
        started = time.perf_counter()
        jobs = [
            job_of(worker.engine, worker.base, rows[i].lesson, replace(rows[i].recipe.inner_loop, seed=unit.seed))
            for i in places
        ]

        def report(done: int, total: int, places: Sequence[int] = places) -> None:
            if progress:
                progress(len(trained) + len(places) * done // max(1, total), len(rows))

        with resting(worker.engine):
            results, _ = train_each(worker.base, jobs, report)
        spent = time.perf_counter() - started
        tokens = [0 if isinstance(result, TrainingError) else result.summary.tokens for result in results]
        for i, result, count in zip(places, results, tokens, strict=True):
            share = spent * count / max(1, sum(tokens))
            if isinstance(result, TrainingError):
                trained[i] = _Trained(None, 0, share, str(result))
            else:
                trained[i] = _Trained(result.adapter, count, share)
    return [trained[i] for i in range(len(rows))]


def _scores(rows: Sequence[_Row], trained: Sequence[_Trained], unit: TuneUnit, worker: Worker) -> list[PassageScore]:
    """What each adapter reaches; those that could not be trained have lost, with their failure."""
    alive = [i for i, each in enumerate(trained) if each.adapter]
    adapters = [trained[i].adapter for i in alive]
    neutral = [_fitting(text, worker) for text in unit.neutral]
    before, *after = _losses(worker.engine, neutral, [None, *adapters])
    losses = dict(zip(alive, after, strict=True))
    answers = _answers([rows[i] for i in alive], adapters, worker)
    accuracies = dict(zip(alive, map(accuracy_of, answers), strict=True))
    return [
        PassageScore(
            passage_id(row.context),
            0.0 if each.failure else accuracies[i],
            math.expm1(losses[i] - before) if i in losses else 0.0,
            each.tokens,
            each.failure or ("" if accuracies[i] is not None else "no answer could be graded"),
        )
        for i, (row, each) in enumerate(zip(rows, trained, strict=True))
    ]


def accuracy_of(answers: Sequence[Answer]) -> float | None:
    """The share of answers that single out what was asked for, where the grader tells; None where none was graded."""
    verdicts = [answer.verdict if answer.direct is None else answer.direct for answer in answers]
    graded = [verdict for verdict in verdicts if verdict is not Verdict.UNGRADED]
    return fmean(verdict is Verdict.CORRECT for verdict in graded) if graded else None


def _answers(rows: Sequence[_Row], adapters: Sequence[LoraAdapter | None], worker: Worker) -> list[tuple[Answer, ...]]:
    """The answers to each row's questions, as its recipe asks them; recipes that ask alike share a batch."""
    found: dict[int, tuple[Answer, ...]] = {}
    configs: list[AnswerConfig] = list(dict.fromkeys(row.recipe.answer for row in rows))
    for config in configs:
        places = [i for i, row in enumerate(rows) if row.recipe.answer == config]
        answered = answer_questions(
            worker.engine,
            worker.base,
            [rows[i].context for i in places],
            worker.grader,
            adapters=[adapters[i] for i in places],
            config=config,
        )
        found |= dict(zip(places, answered, strict=True))
    return [found[i] for i in range(len(rows))]


def _losses(engine: Engine, texts: Sequence[str], adapters: Sequence[LoraAdapter | None]) -> list[float]:
    """The mean loss of each adapter on the texts after their first word, in nats per token; 0 without texts."""
    if not texts or not adapters:
        return [0.0] * len(adapters)
    heads, tails = zip(*(_split_first_word(text) for text in texts), strict=True)
    scores = engine.score(heads * len(adapters), tails * len(adapters), [a for a in adapters for _ in texts])
    each = [scores[i * len(texts) : (i + 1) * len(texts)] for i in range(len(adapters))]
    return [_mean_loss(of_adapter) for of_adapter in each]


def _mean_loss(scores: Sequence[tuple[float, ...]]) -> float:
    flat = [score for of_text in scores for score in of_text]
    mean = -fmean(flat) if flat else 0.0
    return min(mean, WORST_LOSS) if math.isfinite(mean) else WORST_LOSS


def _fitting(text: str, worker: Worker) -> str:
    """The text without blanks around it, cut where it is longer than the model's window."""
    text, room = text.strip(), max(1, worker.base.window - _SPECIAL)
    ids = worker.base.content_ids(text)
    return text if len(ids) <= room else str(worker.base.tokenizer.decode(ids[:room])).strip()


def _split_first_word(text: str) -> tuple[str, str]:
    head, blank, tail = text.partition(" ")
    return head, blank + tail
