"""A step of group-relative policy optimisation (GRPO; Shao et al., 2024, arXiv 2402.03300) on the bank.

Answers to one question are a group. An answer's advantage is its reward less the group's mean, over the group's
standard deviation: groups whose answers all earn the same carry no gradient. For every token the ratio of its
probability now to that at sampling time is clipped, and the KL divergence from the base model is held against it. Both
have a gradient that is that of the token's log-probability times a number, so that a pass of the bank with a weight for
each token is all it takes: the number is computed in a pass without gradients before.

Dimensions: M labelled positions of a pass.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, pstdev

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.config import PolicyGradientConfig
from seal_agent.generation.pictures import pictures_of
from seal_agent.lora.adapter import LoraAdapter, new_adapter
from seal_agent.lora.routing import make_routable, routed
from seal_agent.lora.targets import find_targets
from seal_agent.progress import Progress
from seal_agent.training.bank.attention import use_segment_attention
from seal_agent.training.bank.route import BankRoute
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.jobs import check_lengths
from seal_agent.training.loss import head_loss, label_logprobs
from seal_agent.training.loss_scale import infinite_weights
from seal_agent.training.packing import Batch, Row, lay_out, shareable_prefixes
from seal_agent.training.probes import check_trainable, supports_packing, supports_shared_prefixes
from seal_agent.types import IGNORE_LABEL, TrainingSequence

LEAST_DEVIATION = 1e-6  # of a group's rewards; below, its answers count as equally good
_POLICY, _BASE = 0, 1  # slots


@dataclass(frozen=True, slots=True)
class Sampled:
    """An answer that the policy wrote, behind its prompt, and what it earned."""

    sequence: TrainingSequence
    reward: float


@dataclass(frozen=True, slots=True)
class PolicyUpdate:
    """The new policy. `answers` were learnt from, `skipped` are groups without a gradient.

    `clipped` is the share of tokens whose ratio was clipped, `kl` the mean divergence from the base model in nats per
    token, before the last step.
    """

    adapter: LoraAdapter
    answers: int
    skipped: int
    clipped: float = 0.0
    kl: float = 0.0


def advantages_of(rewards: Sequence[float]) -> list[float]:
    """The advantage of each answer of a group; all 0 where they earn the same."""
    deviation = pstdev(rewards) if rewards else 0.0
    if deviation < LEAST_DEVIATION:
        return [0.0] * len(rewards)
    mean = fmean(rewards)
    return [(reward - mean) / deviation for reward in rewards]


def update_policy(
    base: BaseModel,
    groups: Sequence[Sequence[Sampled]],
    config: PolicyGradientConfig,
    policy: LoraAdapter | None = None,
    progress: Progress | None = None,
) -> PolicyUpdate:
    """Train a policy on groups of its own answers.

    Args:
        groups: The answers to each question, with their rewards.
        policy: The adapter that wrote them; None for the base model.
        progress: Called with the optimiser steps done.

    Raises TrainingError for an answer beyond the model's window, and where the weights are not finite afterwards.
    """
    advantages = [advantages_of([answer.reward for answer in group]) for group in groups]
    taught = [
        [
            (answer.sequence, advantage)
            for answer, advantage in zip(group, of_group, strict=True)
            if advantage and any(label != IGNORE_LABEL for label in answer.sequence.labels[1:])
        ]
        for group, of_group in zip(groups, advantages, strict=True)
    ]
    taught = [group for group in taught if group]
    names = tuple(sorted(policy.pairs if policy else find_targets(base.module, config.targets)))
    start = policy or new_adapter(base.module, names, config.rank, config.alpha, config.seed)
    skipped = sum(not any(of_group) for of_group in advantages)
    if not taught:
        return PolicyUpdate(start, 0, skipped)
    return _Steps(base, start, names, taught, config).run(skipped, progress)


class _Steps:
    """The optimiser steps of one update: the policy in one slot of a bank, the base model in the other.

    A step takes whole groups, whose prompt is then computed once for all of their answers.
    """

    def __init__(
        self,
        base: BaseModel,
        start: LoraAdapter,
        names: Sequence[str],
        groups: Sequence[Sequence[tuple[TrainingSequence, float]]],
        config: PolicyGradientConfig,
    ) -> None:
        check_trainable(base)
        check_lengths(base, [sequence for group in groups for sequence, _ in group])
        use_segment_attention(base)
        make_routable(base.module, names)
        self.base, self.config = base, config
        self.packed = supports_packing(base)
        shares = self.packed and supports_shared_prefixes(base)
        self.rows, self.advantages, self.groups = list[Row](), list[float](), list[range]()
        for group in groups:
            sequences = [sequence for sequence, _ in group]
            prefixes = shareable_prefixes(sequences) if shares else [0] * len(sequences)
            self.groups.append(range(len(self.rows), len(self.rows) + len(group)))
            self.rows += [Row(_POLICY, s, 1.0, prefix=n) for s, n in zip(sequences, prefixes, strict=True)]
            self.advantages += [advantage for _, advantage in group]
        self.pictures = [pictures_of(base, row.sequence.input_ids) for row in self.rows]  # held until the end
        self.bank = LoraBank(base.module, names, 2, start.rank, base.device, base.dtype)
        self.bank.load(_POLICY, start)
        self.bank.load(_BASE, new_adapter(base.module, names, start.rank, start.alpha, 0))  # its B is zero
        self.weights = torch.nn.Parameter(self.bank.weights_KP[_POLICY])
        self.optimizer = torch.optim.AdamW([self.weights], lr=config.learning_rate, weight_decay=0.0)
        self.clipped: list[Tensor] = []
        self.kl = 0.0

    def run(self, skipped: int, progress: Progress | None) -> PolicyUpdate:
        draw = random.Random(self.config.seed)
        sampled: dict[int, Tensor] = {}
        reference: dict[int, Tensor] = {}
        for indices in steps_of(self.groups, self.config.batch_size):
            sampled |= self._by_row(indices, _POLICY)
            reference |= self._by_row(indices, _BASE)
        steps = [
            step
            for _ in range(self.config.passes)
            for step in steps_of(draw.sample(self.groups, len(self.groups)), self.config.batch_size)
        ]
        for done, chosen in enumerate(steps, 1):
            self._step(chosen, [sampled[i] for i in chosen], [reference[i] for i in chosen])
            if progress:
                progress(done, len(steps))
        if not torch.isfinite(self.weights).all():
            raise infinite_weights(self.base.dtype)
        clipped = float(torch.cat(self.clipped).float().mean())
        return PolicyUpdate(self.bank.export(_POLICY), len(self.rows), skipped, clipped, self.kl)

    def _step(self, chosen: Sequence[int], sampled: Sequence[Tensor], reference: Sequence[Tensor]) -> None:
        batch = self._batch(chosen, _POLICY)
        now_M = self._logprobs(batch)
        advantage_M = torch.cat(
            [torch.full_like(old, self.advantages[i]) for i, old in zip(chosen, sampled, strict=True)]
        )
        share_M = torch.cat([torch.full_like(old, 1 / (len(chosen) * len(old))) for old in sampled])
        weights_M, clipped_M, kl_M = token_weights(
            now_M, torch.cat(list(sampled)), torch.cat(list(reference)), advantage_M, self.config.clip, self.config.kl
        )
        self.clipped.append(clipped_M)
        self.kl = float((kl_M * share_M).sum())
        self.bank.begin_step(_POLICY)
        with routed(self._route(batch)):
            head_loss(self.base, replace(batch, weights_M=weights_M * share_M))
        self.weights.grad = self.bank.gradient(_POLICY)
        torch.nn.utils.clip_grad_norm_([self.weights], self.config.max_grad_norm)
        self.optimizer.step()
        self.bank.refresh(_POLICY)

    def _by_row(self, indices: Sequence[int], slot: int) -> dict[int, Tensor]:
        """The log-probabilities of each row's labels."""
        counts = [sum(label != IGNORE_LABEL for label in self.rows[i].sequence.labels[1:]) for i in indices]
        parts = torch.split(self._logprobs(self._batch(indices, slot)), counts)
        return dict(zip(indices, parts, strict=True))

    def _logprobs(self, batch: Batch) -> Tensor:
        with routed(self._route(batch)):
            return label_logprobs(self.base, batch)

    def _batch(self, indices: Sequence[int], slot: int) -> Batch:
        rows = [replace(self.rows[i], slot=slot) for i in indices]
        return lay_out(rows, self.packed, self.base.pad_id, self.base.device)

    def _route(self, batch: Batch) -> BankRoute:
        return BankRoute(self.bank, batch.spans, batch.segments)


def steps_of(groups: Iterable[Sequence[int]], size: int) -> list[list[int]]:
    """The answers of each step: whole groups in order, until there are at least `size`."""
    steps: list[list[int]] = []
    for group in groups:
        if not steps or len(steps[-1]) >= size:
            steps.append([])
        steps[-1] += group
    return steps


def token_weights(
    now_M: Tensor, sampled_M: Tensor, reference_M: Tensor, advantage_M: Tensor, clip: float, kl: float
) -> tuple[Tensor, Tensor, Tensor]:
    """What the gradient of each token's log-probability is multiplied by, which tokens are clipped, and their KL.

    The objective is min(r A, clip(r, 1-ε, 1+ε) A) - β D, with r = exp(now - sampled) and the estimate
    D = exp(reference - now) - (reference - now) - 1 of the divergence.
    """
    ratio_M = (now_M - sampled_M).exp()
    clipped_M = torch.where(advantage_M > 0, ratio_M > 1 + clip, ratio_M < 1 - clip)
    behind_M = reference_M - now_M
    weights_M = torch.where(clipped_M, 0.0, ratio_M * advantage_M) + kl * (behind_M.exp() - 1)
    return weights_M, clipped_M, behind_M.exp() - behind_M - 1
