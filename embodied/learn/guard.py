"""Watches a training for signs that it diverges, names them, and on request goes back to when it went well."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from embodied.learn.collect import RolloutCollector
from embodied.nn.heads import GaussianHead

EPISODES = 20  # that a mean return is of, at least
FALLEN = 0.5  # share of what was learned that is lost
FAR = 0.15  # KL divergence of the policy from that of the rollout [nats], after an update
CERTAIN = 0.01  # of the entropy of choices, or of the half range of a Box: explores no more
LARGEST_MEMORY = 1e4  # number in a memory


class DivergenceWarning(UserWarning):
    """A training diverges; the message says by what one can tell, and since when."""


class DivergenceGuard(BaseCallback):
    """Looks after every update whether the training still goes well.

    Said, once it has been so for `patience` updates: that returns have lost half of what had been learned, and then
    which of these came with it: a policy that moves too far in an update, exploration that has ended, a critic that
    foretells nothing, numbers in the memory that explode.

    Args:
        restore: go back to the weights of the best mean return, with half the learning rate.
        patience: updates in a row.
        report: is told what was found; None: a `DivergenceWarning`.

    Attributes:
        restored: how often it went back.
    """

    model: RolloutCollector

    def __init__(self, restore: bool = False, patience: int = 8, report: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self._restore, self._patience, self._report = restore, patience, report or _warn
        self.restored = 0
        self._worst, self._best = np.inf, -np.inf
        self._kept: tuple[dict[str, Any], dict[str, Any], dict[str, Any]] | None = None
        self._best_at = self._bad = 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        """The update before is over, and what it logged is there."""
        if self.model.rollout_buffer.imitation_only:  # type: ignore[attr-defined]
            return  # these are in part an expert's returns
        now = self._mean_return()
        if now is None:
            return
        self._worst = min(self._worst, now)
        if now > self._best:
            self._best, self._best_at, self._bad = now, self.num_timesteps, 0
            self._keep()
        elif self._best - now > FALLEN * (self._best - self._worst) and self._is_beyond_chance(now):
            self._bad += 1
            if self._bad == self._patience:
                self._act(now)
        else:
            self._bad = 0

    def _mean_return(self) -> float | None:
        returns = self._returns()
        return float(returns.mean()) if len(returns) >= EPISODES else None

    def _returns(self) -> np.ndarray:
        return np.array([episode["r"] for episode in self.model.ep_info_buffer or ()])

    def _is_beyond_chance(self, now: float) -> bool:
        returns = self._returns()
        return bool(self._best - now > 3 * returns.std() / np.sqrt(len(returns)))

    def _keep(self) -> None:
        model, policy = self.model, self.model.policy
        self._kept = copy.deepcopy((policy.state_dict(), policy.optimizer.state_dict(), model.own_tensors()))

    def _act(self, now: float) -> None:
        found = (
            f"returns fell to {now:.4g} at {self.num_timesteps:,} steps from {self._best:.4g} at {self._best_at:,}"
            + "".join(f"; {symptom}" for symptom in self._symptoms())
        )
        if not self._restore or self._kept is None:
            self._report(f"{found}. A lower learning rate helps most often")
            return
        policy = self.model.policy
        policy.load_state_dict(self._kept[0])
        policy.optimizer.load_state_dict(self._kept[1])
        for name, own in self.model.own_tensors().items():
            own.data.copy_(self._kept[2][name])
        rate = self._halve_learning_rate()
        self.restored += 1
        self._bad = 0
        self.model.ep_info_buffer.clear()  # type: ignore[union-attr]
        self._report(f"{found}. Gone back to then, with half the learning rate from now on{rate}")

    def _halve_learning_rate(self) -> str:
        """Of the schedule, and of the settings that a checkpoint holds where it is one of theirs."""
        model, before = self.model, self.model.lr_schedule
        if callable(model.config.learning_rate):
            model.lr_schedule = lambda left: 0.5 * before(left)
            return ""
        end = model.config.learning_rate_end
        model.config = replace(
            model.config,
            learning_rate=0.5 * model.config.learning_rate,
            learning_rate_end=None if end is None else 0.5 * end,
        )
        model.lr_schedule = model.config.learning_rate_schedule
        return f" ({model.lr_schedule(model._current_progress_remaining):.2g} now)"

    def _symptoms(self) -> Iterator[str]:
        told = self.model.logger.name_to_value
        if told.get("train/approx_kl", 0.0) > FAR:
            yield f"an update moves the policy by {told['train/approx_kl']:.2g} nats"
        if self._exploration() < CERTAIN:
            yield "it explores no more"
        if told.get("train/explained_variance", 1.0) < 0:
            yield "its values foretell less than a constant would"
        if (largest := self._largest_in_memory()) > LARGEST_MEMORY:
            yield f"its memory holds numbers as large as {largest:.2g}"

    def _exploration(self) -> float:
        """As a share: of the entropy that there may be, or of the half range."""
        head = self.model.policy.action_head
        if isinstance(head, GaussianHead):
            return head.typical_spread()
        entropy = -self.model.logger.name_to_value.get("train/entropy_loss", -np.inf)
        return float(entropy / np.log(head.mask_size))

    def _largest_in_memory(self) -> float:
        memory = self.model.policy.memories.tensors(self.model.memory)
        floats = [t.abs().max() for t in memory.values() if t.is_floating_point() and t.numel()]
        return float(torch.stack(floats).max()) if floats else 0.0


def _warn(message: str) -> None:
    warnings.warn(message, DivergenceWarning, stacklevel=2)
