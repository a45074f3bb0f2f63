"""The gate's checks: what was measured, held to its bound, and a sentence about each. Needs no model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict

from seal_agent.adaptation.gate.measure import Candidate, Measured
from seal_agent.config import GateConfig, recorded_settings
from seal_agent.seeds import derived_seed
from seal_agent.types import Check, Question, Verdict, content_hash, share_of

LEARNED, EARLIER, GUARD, FACTS = "learned", "earlier lessons", "guard questions", "general facts"
PERPLEXITY, DRIFT, APPROVAL, BOUNDS = "perplexity", "drift", "approval", "bounds"
LEAST_GRADED = 0.5  # share of the questions that need a verdict, else a check cannot pass; not tuned
DRAWS = 2000  # bootstrap samples; the bound of a mean over a handful of questions takes few values


def learned(candidate: Candidate, config: GateConfig) -> Check:
    """Whether accuracy on the candidate's own questions rose, paired by question."""
    if not candidate.after and config.minimum_gain is not None and config.minimum_gain > 0:
        detail = f"there were no questions to ask, and a gain of {config.minimum_gain:g} was wanted"
        return Check(LEARNED, False, detail, None, config.minimum_gain)
    if not candidate.after:
        return Check(LEARNED, None, "there were no questions to ask, so it was not checked")
    pairs = _graded_pairs(candidate)
    if too_few := _too_few(LEARNED, "answers", len(pairs), len(candidate.after)):
        return too_few
    gains = gains_of(candidate)
    right = [sum(map(bool, side)) for side in zip(*pairs, strict=True)]
    change = f"{right[0]} of {len(pairs)} questions right before, {right[1]} after"
    if config.minimum_gain is not None:
        gain = sum(gains) / len(gains)
        return Check(LEARNED, gain >= config.minimum_gain, change, gain, config.minimum_gain)
    bound = lower_bound(gains, config.confidence)
    return Check(LEARNED, bound > 0, f"{change}; the gain is at least {bound:+.2f}", bound, 0.0)


def is_open(check: Check) -> bool:
    """Whether there were questions, but so few answers to them could be graded that nothing can be said."""
    return check.passed is None and check.bound is not None


def _too_few(name: str, what: str, graded: int, asked: int) -> Check | None:
    """An open check where fewer answers were graded than are needed."""
    share = graded / asked if asked else 1.0
    if share >= LEAST_GRADED:
        return None
    detail = f"{graded} of {asked} {what} could be graded, too few to check it"
    return Check(name, None, detail, share, LEAST_GRADED)


def gains_of(candidate: Candidate) -> list[int]:
    """For each of the candidate's own graded questions: 1 if it was learned, -1 if it was lost, else 0."""
    return [int(after) - int(before) for before, after in _graded_pairs(candidate)]


def bounds_of(config: GateConfig) -> Check:
    """Which settings a candidate was held to, as a hash."""
    return Check(BOUNDS, True, f"those of the gate {content_hash([recorded_settings(asdict(config))])[:12]}")


def are_of(checks: Sequence[Check], config: GateConfig) -> bool:
    """Whether these are the checks of a gate with these settings. Ledgers of before do not say, so theirs are not."""
    return bounds_of(config) in checks


def _graded_pairs(candidate: Candidate) -> list[tuple[bool, bool]]:
    """Whether each question was known before and after."""
    return [
        (before.knows, after.knows)
        for before, after in zip(candidate.before, candidate.after, strict=True)
        if before.knows is not None and after.knows is not None
    ]


def lower_bound(values: Sequence[float], confidence: float) -> float:
    """The one-sided lower bound of the mean, by the bootstrap over the values."""
    draw = random.Random(derived_seed(0, "bootstrap", len(values)))
    means = sorted(sum(draw.choices(values, k=len(values))) / len(values) for _ in range(DRAWS))
    return means[int((1 - confidence) * DRAWS)]


def harmless(measured: Measured, config: GateConfig) -> list[Check]:
    """Whether nothing that matters was lost; only what was measured is checked."""
    checks = [_earlier(measured, config), *_guard(measured, config), _perplexity(measured, config)]
    return [check for check in [*checks, _drift(measured, config)] if check is not None]


def _earlier(measured: Measured, config: GateConfig) -> Check | None:
    if not measured.earlier:
        return None
    asked = [(question, reply.knows) for question, reply in measured.earlier if reply.knows is not None]
    lost = [question.question for question, knows in asked if question.right and not knows]
    right = sum(question.right for question, _ in asked)
    learned = [knows for question, knows in asked if question.learned]
    share, lost_in_all = len(lost) / max(1, right), learned.count(False)
    in_all = lost_in_all / max(1, len(learned))
    detail = f"{right - len(lost)} of {right} answers to earlier questions are still right"
    # A single question is lost by chance more often than by harm; what parents lost is not held against a child that
    # loses nothing more.
    step_holds = share <= config.max_forgotten or len(lost) == 1
    all_holds = in_all <= config.max_forgotten_in_all or lost_in_all == 1
    if not all_holds:
        detail += f", {learned.count(True)} of the {len(learned)} that were right when they were learned"
    passed = not lost or (step_holds and all_holds)
    if passed and (too_few := _too_few(EARLIER, "answers", len(asked), len(measured.earlier))):
        return too_few
    return Check(EARLIER, passed, detail + _named(lost), share, config.max_forgotten)


def _guard(measured: Measured, config: GateConfig) -> list[Check]:
    if not config.guard_questions or measured.guard is None:
        return []
    of_base = _too_few(GUARD, "answers of the base model to general questions", *measured.reference_graded)
    if not measured.guard:
        why = "no general question is answered by the base model, so it was not checked"
        return [of_base or Check(GUARD, None, why)]
    graded = [answer for answer in measured.guard if answer.verdict is not Verdict.UNGRADED]
    step, in_all = guard_lost(measured)
    wrong = [answer for answer in graded if answer.verdict is Verdict.WRONG]
    new = [answer for answer in wrong if answer.question.text in measured.known_to_parent]
    kept = f"{len(graded) - len(wrong)} of {len(graded)} general questions are answered as before"
    if missing := len(measured.guard) - len(graded):
        kept += f", {missing} could not be graded"
    passed = step <= config.max_guard_lost and in_all <= config.max_guard_lost_in_all
    check = Check(GUARD, passed, kept + _named([a.question for a in wrong]), step, config.max_guard_lost)
    too_few = _too_few(GUARD, "answers to general questions", len(graded), len(measured.guard)) or of_base
    checks = [too_few if passed and too_few else check]
    if measured.own:
        changed = [answer for answer in new if answer.question in measured.own]
        told = "; ".join(f"{a.question.text} {a.question.golds[0]} became {a.text[:60]!r}" for a in changed[:3])
        detail = (
            f"the text contradicts what was known: {told}"
            if changed
            else f"{len(measured.own)} facts it speaks of stand"
        )
        told_of = sum(answer.question in measured.own for answer in graded)
        too_few = _too_few(FACTS, "answers about facts it speaks of", told_of, len(measured.own))
        stand = Check(FACTS, not changed, detail, len(changed) / len(measured.own), 0.0)
        checks.append(too_few if too_few and not changed else stand)
    return checks


def guard_lost(measured: Measured) -> tuple[float, float]:
    """Share of wrong answers to guard questions: of those that the parent answers, and of all that the base answers.

    Answers that could not be graded count in neither; 0 where none is left.
    """
    guard = measured.guard or ()
    of_parent = [answer for answer in guard if answer.question.text in measured.known_to_parent]
    step, in_all = (share_of(Verdict.WRONG, (a.verdict for a in each)) for each in (of_parent, guard))
    return step or 0.0, in_all or 0.0


def _perplexity(measured: Measured, config: GateConfig) -> Check | None:
    if measured.perplexity is None or not measured.base_perplexity:
        return None
    rise = measured.perplexity / measured.base_perplexity - 1
    detail = (
        f"{measured.perplexity:.2f} of reference text, {measured.base_perplexity:.2f} by the base model ({rise:+.1%})"
    )
    return Check(PERPLEXITY, rise <= config.max_perplexity, detail, rise, config.max_perplexity)


def _drift(measured: Measured, config: GateConfig) -> Check | None:
    if measured.drift is None:
        return None
    detail = f"{measured.drift:.3f} nats per token from its parent"
    return Check(DRIFT, measured.drift <= config.max_drift, detail, measured.drift, config.max_drift)


def _named(lost: Sequence[Question], most: int = 2) -> str:
    """The first of the questions that were lost."""
    if not lost:
        return ""
    more = f" and {len(lost) - most} more" if len(lost) > most else ""
    return "; lost: " + " ".join(question.text for question in lost[:most]) + more
