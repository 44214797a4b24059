"""Numbers far from zero, or hardly moving, are learned from once they are normalized as they become known."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from conftest import QUICK, SIGNPOST
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from test_ppo import FirstRatios

from embodied.errors import OptionError
from embodied.evaluation.report import evaluate
from embodied.learn.ppo import SequencePPO
from embodied.nn.agent import NetworkAgent
from embodied.nn.encoder import Encoder
from embodied.nn.normalization import FARTHEST, RunningMeanStd
from embodied.nn.policy import load_policy
from embodied.spaces import Codec
from embodied.vector.vec import as_vec_env
from embodied_policies import MixturePolicy, MlpPolicy, TransformerPolicy
from embodied_policies.mixture import compose

OBS = spaces.Box(-np.inf, np.inf, (2,), np.float32)
TURN = spaces.Box(-1, 1, (1,), np.float32)


class FarAway(gym.Env):
    """Two thermometers far from zero: a hundredth of a degree tells which of two buttons is right."""

    observation_space, action_space = OBS, spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._look(), {}

    def _look(self):
        self.right = int(self.np_random.integers(2))
        return np.array([300 + 0.01 * self.right, 20 + 0.01 * self.np_random.random()], np.float32)

    def step(self, action):
        reward = float(action == self.right)
        self.t += 1
        return self._look(), reward, self.t == 10, False, {}


def trained(normalize, policy=MlpPolicy, steps=8000, **settings):
    worlds = SyncVectorEnv([FarAway] * 16, autoreset_mode=AutoresetMode.SAME_STEP)
    model = SequencePPO(policy, worlds, QUICK, n_steps=32, minibatches=4, seed=0, normalize=normalize, **settings)
    return model.learn(steps)


def rows_in_pieces():
    rng = np.random.default_rng(0)
    sizes = (1, 7, 500, 3)
    return [torch.tensor(rng.normal([5, -2, 0], [3, 0.1, 40], (n, 3)), dtype=torch.float32) for n in sizes]


def test_mean_and_spread_are_those_of_all_rows_however_they_came():
    scale = RunningMeanStd(3)
    for piece in rows_in_pieces():
        scale.update(piece)
    scale.update(torch.zeros(0, 3))
    everything = torch.cat(rows_in_pieces()).double()
    assert torch.allclose(scale.mean, everything.mean(0), atol=1e-4)
    assert torch.allclose(scale.variance, everything.var(0, correction=0), rtol=1e-4)
    standard = scale(everything.float())
    assert torch.allclose(standard.mean(0), torch.zeros(3), atol=1e-3)
    assert torch.allclose(standard.std(0), torch.ones(3), atol=1e-2)


def test_before_anything_was_seen_rows_pass_and_afterwards_none_is_farther_than_allowed():
    scale, odd = RunningMeanStd(2), torch.tensor([[1e9, -1e9]])
    assert torch.equal(scale(torch.tensor([[0.5, -0.25]])), torch.tensor([[0.5, -0.25]]))
    scale.update(torch.zeros(10, 2))
    assert scale(odd).tolist() == [[FARTHEST, -FARTHEST]]


def test_what_is_no_number_or_absurd_does_not_spoil_the_scale():
    scale = RunningMeanStd(2)
    scale.update(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
    scale.update(torch.tensor([[torch.inf, 0.0], [torch.nan, 0.0]]))
    assert scale.mean.tolist() == [2.0, 2.0]
    scale.update(torch.tensor([[1e30, 2.0]]))
    assert torch.isfinite(scale.variance).all()
    assert torch.isfinite(scale(torch.tensor([[torch.inf, 5.0]]))).all()


def test_measurements_are_normalized_and_indicators_and_pixels_are_not():
    space = spaces.Dict(
        {
            "gear": spaces.Discrete(3),
            "picture": spaces.Box(0, 255, (12, 12, 1), np.uint8),
            "speed": spaces.Box(-4, 4, (2,)),
        }
    )
    codec = Codec(space)
    encoder = Encoder(codec, 8, normalize=True)
    encoder.update_normalizer(torch.full((5, codec.size), 2.0) + torch.arange(5)[:, None])
    row = torch.full((1, codec.size), 4.0)
    plain, normal = Encoder(codec, 8).normalized(row), encoder.normalized(row)
    changed = (plain != normal)[0]
    speeds = next(part for part in codec.parts if part.path == ("speed",))
    assert changed.nonzero().flatten().tolist() == list(range(speeds.start, speeds.stop))
    assert normal[0, speeds.start : speeds.stop].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("policy", [MlpPolicy, TransformerPolicy])
def test_a_signal_that_is_small_beside_its_offset_is_learned_only_when_it_is_normalized(policy):
    def earned(normalize):
        model = trained(normalize, policy)
        return evaluate(NetworkAgent(model.policy), as_vec_env(SyncVectorEnv([FarAway] * 16)), 64).reward

    assert earned(True) > 9.5
    assert earned(False) < 7.0


def test_what_acting_saw_is_what_training_sees_while_the_scale_is_being_learned():
    worlds = SyncVectorEnv([FarAway] * 4, autoreset_mode=AutoresetMode.SAME_STEP)
    model = SequencePPO(TransformerPolicy, worlds, QUICK, n_steps=16, minibatches=2, seed=0, normalize=True)
    probe = FirstRatios()
    model.learn(4 * 16 * 5, callback=probe)
    assert float(model.policy.encoder.running.count) == 4 * 16 * 5
    assert probe.worst < 1e-4


def test_a_policy_that_normalizes_is_saved_loaded_and_gone_on_from(tmp_path):
    model = trained(True, steps=600)
    model.save(tmp_path)
    obs = np.array([[300.0, 20.0], [300.01, 20.005]], np.float32)
    loaded = load_policy(tmp_path)
    reading, again = (
        p.step(torch.tensor(obs), torch.ones(2, dtype=torch.bool), p.initial(2))[0] for p in (model.policy, loaded)
    )
    assert torch.equal(reading.features, again.features)
    worlds = SyncVectorEnv([FarAway] * 4, autoreset_mode=AutoresetMode.SAME_STEP)
    further = SequencePPO(loaded, worlds, QUICK, n_steps=8, minibatches=2)
    assert further.normalize
    assert torch.equal(further.policy.encoder.running.mean, model.policy.encoder.running.mean)
    plain = SequencePPO(MlpPolicy, worlds, QUICK, n_steps=8, minibatches=2).policy
    begun = SequencePPO(plain, worlds, QUICK, n_steps=8, minibatches=2, normalize=True)
    assert float(begun.policy.encoder.running.count) == 0
    assert torch.equal(begun.policy.encoder.linear.weight, plain.encoder.linear.weight)


def test_experts_that_normalize_are_mixed_with_those_that_do_not(tmp_path):
    plain, normal = trained(False, steps=600).policy, trained(True, steps=600).policy
    mixture = compose([plain, normal])
    with torch.no_grad():
        mixture.core.router.bias[:] = torch.tensor([-30.0, 30.0])
    obs = np.array([[300.0, 20.0], [300.01, 20.005]], np.float32)
    mixture.save(tmp_path)
    for one in (mixture, MixturePolicy.load(tmp_path)):
        assert np.array_equal(one.predict(obs, deterministic=True)[0], normal.predict(obs, deterministic=True)[0])


def test_a_mixture_with_a_critic_that_normalizes_is_saved_and_goes_on(tmp_path):
    experts = [SequencePPO(MlpPolicy, SIGNPOST, QUICK, n_envs=2, n_steps=8, minibatches=1).policy for _ in range(2)]
    model = SequencePPO(compose(experts), SIGNPOST, QUICK, n_envs=2, n_steps=8, minibatches=1, normalize=True)
    model.learn(32)
    assert float(model.policy.critic[0].count) == 32
    model.save(tmp_path)
    assert float(SequencePPO.load(tmp_path, n_envs=2).policy.critic[0].count) == 32


def test_exploration_begins_as_widely_as_it_is_told():
    assert MlpPolicy(OBS, TURN, initial_std=2.0).action_head.log_std.exp().tolist() == pytest.approx([2.0])
    with pytest.raises(OptionError, match="initial_std"):
        MlpPolicy(OBS, TURN, initial_std=0.0)


def test_a_policy_without_memory_learns_from_single_steps_that_hold_what_the_sequences_held():
    model = trained(False, steps=600)
    rollout, single = model.rollout_buffer, model._sequences(model.rollout_buffer)
    assert single.reward.shape == (16 * 32, 1)
    assert torch.equal(single.obs.reshape(rollout.obs.shape), rollout.obs)
    assert torch.equal(single.advantage.reshape(rollout.advantage.shape), rollout.advantage)
    remembering = trained(False, TransformerPolicy, steps=600)
    assert remembering._sequences(remembering.rollout_buffer).reward.shape == (16, 32)
