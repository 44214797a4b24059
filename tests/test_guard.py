"""A training that loses what it had learned is noticed, named, and taken back to when it went well."""

import numpy as np
import pytest
import torch
from conftest import CountEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from embodied.learn.config import PPOConfig
from embodied.learn.guard import DivergenceGuard, DivergenceWarning
from embodied.learn.ppo import SequencePPO

LEVER = PPOConfig(n_steps=16, batch_size=64, n_epochs=4, learning_rate=3e-3, learning_rate_end=1e-3)
ROLLOUT = 8 * 16


class Levers(CountEnv):
    """Two levers, of which the second pays; four pulls an episode."""

    def __init__(self):
        super().__init__(length=4)

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, float(action), *rest


class Sabotage(BaseCallback):
    """At a time, turns the policy round for good: certain of what does not pay."""

    def __init__(self, at):
        super().__init__()
        self.at, self.done = at, False

    def _on_rollout_start(self):
        if self.num_timesteps >= self.at and not self.done:
            self.done = True
            with torch.no_grad():
                self.model.policy.action_head.logits.weight.zero_()
                self.model.policy.action_head.logits.bias[:] = torch.tensor([30.0, -30.0])

    def _on_step(self):
        return True


def trained(guard, sabotage=30 * ROLLOUT, rollouts=60):
    worlds = SyncVectorEnv([Levers] * 8, autoreset_mode=AutoresetMode.SAME_STEP)
    model = SequencePPO("MlpPolicy", worlds, LEVER, seed=0, stats_window_size=32, device="cpu")
    model.learn(rollouts * ROLLOUT, callback=CallbackList([Sabotage(sabotage), guard]))
    return model


def recent(model):
    return np.mean([episode["r"] for episode in model.ep_info_buffer])


def test_a_training_that_loses_what_it_had_learned_says_so_and_by_what_one_can_tell():
    said = []
    model = trained(DivergenceGuard(patience=4, report=said.append))
    assert recent(model) < 0.5  # a policy that is certain learns nothing
    assert len(said) == 1
    assert "returns fell to 0" in said[0]
    assert "it explores no more" in said[0]
    assert "nats" not in said[0]


def test_on_request_it_goes_back_to_the_best_weights_with_half_the_learning_rate():
    said = []
    guard = DivergenceGuard(restore=True, patience=4, report=said.append)
    model = trained(guard)
    assert guard.restored == 1
    assert recent(model) > 3.5
    assert model.config.learning_rate == pytest.approx(1.5e-3)
    assert model.lr_schedule(1.0) == pytest.approx(1.5e-3)
    assert model.lr_schedule(0.0) == pytest.approx(5e-4)
    assert "Gone back" in said[0]


def test_a_training_that_goes_well_is_left_alone():
    guard = DivergenceGuard(restore=True, patience=1)
    assert recent(trained(guard, sabotage=10**9)) > 3.5
    assert guard.restored == 0


def test_without_anybody_to_tell_it_warns():
    with pytest.warns(DivergenceWarning, match="lower learning rate"):
        trained(DivergenceGuard(patience=2), rollouts=40)
