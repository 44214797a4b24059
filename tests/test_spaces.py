"""The learner takes what environments have: pictures, dicts, choices with masks, and what was done before."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from conftest import QUICK, SIGNPOST
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from embodied.errors import OptionError
from embodied.evaluation.report import evaluate
from embodied.learn.ppo import SequencePPO
from embodied.nn.agent import NetworkAgent
from embodied.nn.encoder import Encoder
from embodied.nn.heads import ChoiceHead, StateDependentHead
from embodied.spaces import Codec
from embodied.vector.previous_action import PreviousAction
from embodied.vector.vec import as_vec_env
from embodied_policies.gru import GRUPolicy
from embodied_policies.mlp import MlpPolicy
from embodied_policies.transformer import TransformerPolicy

SAME_STEP = AutoresetMode.SAME_STEP
RICH = spaces.Dict(
    {
        "picture": spaces.Box(0, 255, (16, 16, 3), np.uint8),
        "speed": spaces.Box(-2.0, 2.0, (3,), np.float32),
        "gear": spaces.Discrete(4, start=-1),
        "lamps": spaces.MultiBinary(2),
        "dials": spaces.Tuple([spaces.MultiDiscrete([2, 3])]),
    }
)


class RichEnv(gym.Env):
    """Observes every kind of thing; the reward is for naming the gear, of which one choice is always forbidden."""

    observation_space = RICH

    def __init__(self, actions: spaces.Space, mask_in: str = "info") -> None:
        inner = dict(RICH.spaces)
        self.mask_in, self.action_space = mask_in, actions
        if mask_in == "obs":
            inner["action_mask"] = spaces.MultiBinary(4)
        self.observation_space = spaces.Dict(inner)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.t = 0
        return self._look()

    def _look(self):
        obs = self.observation_space.sample()
        self.forbidden = int(self.np_random.integers(4))
        mask = (np.arange(4) != self.forbidden).astype(np.int8)
        if self.mask_in == "obs":
            obs["action_mask"] = mask
        self.gear = int(obs["gear"]) + 1
        return obs, ({"action_mask": mask} if self.mask_in == "info" else {})

    def step(self, action):
        assert self.mask_in == "none" or action != self.forbidden
        reward = float(np.ndim(action) == 0 and action == self.gear)
        obs, info = self._look()
        self.t += 1
        return obs, reward, self.t == 5, False, info


def test_every_kind_of_observation_becomes_a_row_and_features():
    codec, batch = Codec(RICH), spaces.utils.flatdim
    RICH.seed(0)
    samples = [RICH.sample() for _ in range(4)]
    stacked = {key: np.stack([s[key] for s in samples]) for key in ("picture", "speed", "gear", "lamps")}
    stacked["dials"] = (np.stack([s["dials"][0] for s in samples]),)
    rows = codec.rows(stacked)
    assert rows.shape == (4, batch(RICH))
    assert Encoder(codec, 32)(torch.as_tensor(rows)).shape == (4, 32)
    gear = next(part for part in codec.parts if part.path == ("gear",))
    assert (rows[:, gear.start : gear.stop].argmax(1) - 1).tolist() == [int(s["gear"]) for s in samples]


def test_observations_that_nobody_can_read_are_refused():
    with pytest.raises(OptionError, match="observations of Graph are not supported; known: Box"):
        Codec(spaces.Graph(spaces.Box(-1, 1, (2,)), None))


@pytest.mark.parametrize("policy", [TransformerPolicy, GRUPolicy, MlpPolicy])
def test_every_core_trains_on_rich_observations_without_ever_doing_what_is_forbidden(policy):
    env = SyncVectorEnv([lambda: RichEnv(spaces.Discrete(4))] * 4, autoreset_mode=SAME_STEP)
    model = SequencePPO(policy, env, QUICK, n_steps=16, minibatches=2, n_epochs=2, seed=0)
    model.learn(300)
    assert all(torch.isfinite(p).all() for p in model.policy.parameters())


def test_a_mask_may_be_part_of_the_observation_and_binds_predictions():
    env = SyncVectorEnv([lambda: RichEnv(spaces.Discrete(4), "obs")] * 3, autoreset_mode=SAME_STEP)
    model = SequencePPO(TransformerPolicy, env, QUICK, n_steps=16, minibatches=1, n_epochs=1, seed=0)
    model.learn(100)
    obs, _ = env.reset(seed=1)
    for deterministic in (True, False):
        action, _ = model.predict(obs, deterministic=deterministic)
        assert obs["action_mask"][np.arange(3), action].all()


def test_several_choices_of_unequal_size_are_made_at_once():
    env = SyncVectorEnv([lambda: RichEnv(spaces.MultiDiscrete([2, 5, 3]), "none")] * 2, autoreset_mode=SAME_STEP)
    model = SequencePPO(TransformerPolicy, env, QUICK, n_steps=8, minibatches=1, n_epochs=1, seed=0)
    model.learn(50)
    actions = np.concatenate([model.predict(env.reset(seed=s)[0])[0] for s in range(60)])
    assert actions.max(axis=0).tolist() == [1, 4, 2]
    assert actions.min(axis=0).tolist() == [0, 0, 0]


def test_the_probability_of_forbidden_choices_is_zero():
    head = ChoiceHead(8, spaces.MultiDiscrete([2, 3]))
    mask = torch.tensor([[True, False, True, True, False]])
    chance = head(torch.randn(1, 8), mask).base_dist.probs[0]
    assert chance[0].tolist() == pytest.approx([1.0, 0.0, 0.0])
    assert chance[1, 2] == 0
    assert chance.sum(-1).tolist() == pytest.approx([1.0, 1.0])


def test_state_dependent_noise_is_the_same_for_the_same_features_until_it_is_drawn_anew():
    head, generator = StateDependentHead(16, spaces.Box(-1, 1, (2,))), torch.Generator().manual_seed(0)
    features = torch.randn(5, 16, generator=generator)
    drawn, anew = (head.draw_noise(5, generator) for _ in range(2))
    first, again, other = (head.explore(head(features), features, noise) for noise in (drawn, drawn, anew))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    noise = []
    for _ in range(4000):
        drawn = head.draw_noise(5, generator)
        noise.append(head.explore(head(features), features, drawn) - head.mean(features))
    expected = head(features).stddev
    assert torch.stack(noise).std(0).detach().numpy() == pytest.approx(expected.detach().numpy(), rel=0.06)


def test_state_dependent_noise_needs_actions_that_are_numbers():
    with pytest.raises(OptionError, match="needs actions of a Box, not Discrete"):
        TransformerPolicy(spaces.Box(-1, 1, (3,)), spaces.Discrete(2), use_sde=True)


@pytest.mark.parametrize("mode", [SAME_STEP, AutoresetMode.DISABLED])
def test_what_was_done_and_what_it_brought_is_observed_and_forgotten_with_the_episode(mode):
    vec = as_vec_env(PreviousAction(SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2, autoreset_mode=mode)))
    obs = vec.reset()
    assert obs["action"].tolist() == [0, 0]
    assert obs["reward"].tolist() == [[0.0], [0.0]]
    for _ in range(60):
        obs, _, ended, infos = vec.step(np.array([1, 0]))
        for i in range(2):
            if ended[i]:
                assert infos[i]["terminal_observation"]["action"] == 1 - i
                assert obs["action"][i] == 0
                assert obs["reward"][i] == 0
            else:
                assert obs["action"][i] == 1 - i
                assert obs["reward"][i] == 1


def test_a_trainer_that_recalls_can_be_saved_and_goes_on(tmp_path):
    model = SequencePPO(
        GRUPolicy,
        "CartPole-v1",
        QUICK,
        n_envs=4,
        n_steps=16,
        minibatches=2,
        previous=("action", "reward"),
        target_kl=0.02,
        seed=0,
    )
    model.learn(100)
    model.save(tmp_path)
    again = SequencePPO.load(tmp_path, n_envs=4)
    assert again.previous == ("action", "reward")
    assert again.config.target_kl == 0.02
    assert set(again.observation_space.spaces) == {"obs", "action", "reward"}
    again.learn(50, reset_num_timesteps=False)


def test_a_forecast_is_learned_and_surprise_can_be_all_that_is_wanted():
    settings = {"n_envs": 8, "n_steps": 32, "minibatches": 2, "learning_rate": 1e-3, "seed": 0}
    model = SequencePPO(
        TransformerPolicy, "Pendulum-v1", QUICK, forward_model_coef=1.0, intrinsic_coef=0.5, reward_coef=0.0, **settings
    )
    surprises = []
    for _ in range(12):
        model.learn(256, reset_num_timesteps=False)
        surprises.append(model.rollout_buffer.prediction_error.mean().item())
    assert surprises[-1] < 0.5 * surprises[0]
    with pytest.raises(OptionError, match="intrinsic_coef needs a forward model"):
        SequencePPO(TransformerPolicy, "Pendulum-v1", QUICK, intrinsic_coef=1.0)


def test_an_update_ends_when_the_policy_has_moved_far_enough():
    updates = []
    for target in (None, 1e-6):
        model = SequencePPO(
            TransformerPolicy, "CartPole-v1", QUICK, n_envs=4, n_steps=32, minibatches=2, target_kl=target, seed=0
        )
        model.learn(128)
        updates.append(model._n_updates)
    assert updates == [4, 1]


def test_a_policy_explains_an_episode_of_signpost():
    model = SequencePPO(TransformerPolicy, SIGNPOST, QUICK, n_envs=4, n_steps=16, minibatches=2, seed=0)
    rows = np.random.default_rng(0).uniform(-1, 1, (20, model.observation_space.shape[0])).astype(np.float32)
    told = model.policy.introspect(rows)
    assert told.action_mean.shape == (20, 3)
    assert told.belief.shape == (20, 2)
    assert told.belief.sum(1) == pytest.approx(np.ones(20), abs=1e-5)
    assert told.inside["attention"].shape == (2, 4, 20, 20)
    assert told.inside["mlp_output"].shape == (2, 20)


@pytest.mark.parametrize("mode", [SAME_STEP, AutoresetMode.DISABLED])
@pytest.mark.parametrize(
    ("mask_in", "previous"), [("info", ()), ("obs", ()), ("obs", ("action",)), ("info", ("reward",))]
)
def test_what_is_forbidden_is_never_done_whatever_resets_and_wherever_it_is_told(mode, mask_in, previous):
    env = SyncVectorEnv([lambda: RichEnv(spaces.Discrete(4), mask_in)] * 3, autoreset_mode=mode)
    model = SequencePPO(MlpPolicy, env, QUICK, n_steps=16, minibatches=1, n_epochs=1, seed=0, previous=previous)
    model.learn(100)  # the environment itself asserts it
    assert model.rollout_buffer.mask.sum(-1).eq(3).all()
    evaluate(NetworkAgent(model.policy, deterministic=False), model.get_env(), 6)


def test_a_trainer_is_loaded_with_as_many_worlds_as_it_had(tmp_path):
    model = SequencePPO(MlpPolicy, "CartPole-v1", QUICK, n_envs=4, n_steps=8, minibatches=2, seed=0)
    model.learn(32)
    model.save(tmp_path)
    assert SequencePPO.load(tmp_path).n_envs == 4
