"""Soft actor-critic for policies that remember: off policy, from whole sequences."""

from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
import torch
from command import embodied
from conftest import SIGNPOST, Solved
from gymnasium import spaces
from torch.distributions import Independent, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from embodied.errors import CheckpointError, OptionError
from embodied.evaluation.report import evaluate
from embodied.learn import DivergenceGuard, SACConfig, SequencePPO, SequenceSAC
from embodied.learn.resources import footprint
from embodied.learn.sac.critic import Critics
from embodied.learn.sac.reading import PrivilegedReading, follow
from embodied.learn.sac.replay import Replay
from embodied.nn.checkpoint import load_json
from embodied.nn.policy import load_policy
from embodied.nn.squashed import SquashedNormal, squashed_head
from embodied.vector.vec import as_vec_env
from embodied_policies import compose

SMALL = SACConfig(n_steps=8, batch_size=32, gradient_steps=2, learning_starts=0, burn_in=1, buffer_size=512)
TINY = {"layers": 1, "width": 16, "context": 8}


def learner(env="Pendulum-v1", policy="TransformerPolicy", **settings):
    kwargs = {"layers": 1, "width": 16} if policy == "MlpPolicy" else TINY
    kwargs = {name: value for name, value in kwargs.items() if policy == "TransformerPolicy" or name != "context"}
    return SequenceSAC(policy, env, SMALL, n_envs=4, seed=0, policy_kwargs=kwargs, **settings)


class TargetEnv(gym.Env):
    """Which way to push is shown in the first step of an episode, and paid for in all: remembering earns 4."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1, 1, (1,), np.float32)
        self.action_space = spaces.Box(-2, 2, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.wanted, self.t = self.np_random.choice([-1.0, 1.0]), 0
        return np.array([self.wanted], np.float32), {}

    def step(self, action):
        self.t += 1
        earned = 1 - 0.5 * abs(float(action[0]) - self.wanted)
        return np.zeros(1, np.float32), earned, self.t == 4, False, {}


class Paid(gym.Env):
    """Pays 1 in the last step of an episode, and nothing before."""

    def __init__(self, length: int) -> None:
        self.length, self.observation_space = length, spaces.Box(-1, 1, (1,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        return (
            np.full(1, self.t / self.length, np.float32),
            float(self.t == self.length),
            self.t == self.length,
            False,
            {},
        )


def test_a_squashed_gaussian_is_as_likely_as_torch_says():
    mean, spread = torch.tensor([[0.3, -1.0]]), torch.tensor([[0.5, 1.5]])
    ours = SquashedNormal(mean, spread)
    theirs = TransformedDistribution(Independent(Normal(mean, spread), 1), [TanhTransform()])
    action, log_prob = ours.with_log_prob(torch.Generator().manual_seed(0))
    assert torch.allclose(log_prob, theirs.log_prob(action), atol=1e-4)
    assert torch.allclose(log_prob, ours.log_prob(action), atol=1e-4)
    assert torch.isfinite(ours.log_prob(torch.ones(1, 2))).all()
    assert torch.allclose(ours.mean, mean.tanh())


def test_squashed_actions_stay_within_a_box_that_is_not_symmetric():
    box = spaces.Box(np.array([-1, 0], np.float32), np.array([3, 0.5], np.float32))
    head = squashed_head(4, box, initial_std=3.0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        acted = head.to_env(head.sample(head(torch.randn(256, 4, generator=generator)), generator))
    assert (acted >= box.low).all()
    assert (acted <= box.high).all()
    assert (acted.min(0) < box.low + 0.1 * (box.high - box.low)).all()
    assert (acted.max(0) > box.high - 0.1 * (box.high - box.low)).all()


def test_critics_that_are_worked_out_together_are_each_their_own():
    critics = Critics(3, 4, 2)
    torch.nn.init.normal_(critics.last.weight)
    context, action = torch.randn(5, 7, 4), torch.randn(5, 7, 2)
    values = critics(context, action)
    assert values.shape == (3, 5, 7)
    assert torch.allclose(critics(context[2:3, 3:4], action[2:3, 3:4])[:, 0, 0], values[:, 2, 3], atol=1e-5)
    values[1].sum().backward()
    for layer in (*critics.hidden, critics.last):
        moved = layer.weight.grad.abs().sum(dim=(1, 2))
        assert (moved > 0).tolist() == [False, True, False]


def test_what_is_replayed_is_what_was_lived_with_the_memory_before_it():
    model = learner(gradient_steps=1)
    kept = []
    add = Replay.add
    model.replay.add = lambda rollout, beside: (kept.append(rollout.obs), add(model.replay, rollout, beside))
    model.learn(4 * 8 * 5)
    drawn, beside = model.replay.draw(6, model.policy, torch.Generator().manual_seed(0))
    assert drawn.obs.shape[:2] == (6, 9)  # the last one is what the eighth step led to
    assert all(torch.equal(before[:, 8], after[:, 0]) for before, after in pairwise(kept))
    memory = drawn.memory
    for i, obs in enumerate(drawn.obs):
        (chunk,) = [k for k, seen in enumerate(kept) if any(torch.equal(row, obs) for row in seen)]
        assert int(memory.core.age_N[i]) == 8 * chunk  # Pendulum's episodes are longer
        assert (memory.action[i] == 0).all() == (chunk == 0)
        assert torch.equal(beside.core.age_N[i], memory.core.age_N[i])
        assert (memory.core.time_NC[i] >= 0).sum() == min(8, 8 * chunk)


def test_a_sequence_can_begin_with_the_ones_before_it_of_the_same_environments():
    model = learner(gradient_steps=1)
    model.learn(4 * 8 * 5)
    kept = [rollout for rollout, _ in model.replay._kept]
    drawn, beside = model.replay.draw(6, model.policy, torch.Generator().manual_seed(0), before=2)
    assert drawn.obs.shape[:2] == (6, 25)
    assert (drawn.ignore == (torch.arange(25) == 24)).all()
    begun = set()
    for i, row in enumerate(drawn.obs):
        (where,) = [(k, n) for k in range(5) for n in range(4) if torch.equal(kept[k].obs[n], row[:9])]
        k, n = where
        begun.add(k)
        assert torch.equal(kept[k + 1].obs[n, :8], row[8:16])
        assert torch.equal(kept[k + 2].obs[n], row[16:])
        assert torch.equal(kept[k + 2].action[n], drawn.action[i, 16:])
        assert int(drawn.memory.core.age_N[i]) == int(beside.core.age_N[i]) == 8 * k
    assert begun == {0, 1, 2}


def test_what_brought_up_to_date_memory_leaves_nothing_of_the_weights_that_acted():
    model = learner(policy="GRUPolicy", gradient_steps=1)
    model.learn(4 * 8 * 3)
    lived, beside = model.replay.draw(4, model.policy, model.generator, before=1)
    lived.first[:], lived.first[:, 2] = False, True
    with torch.no_grad():
        for weight in model.policy.parameters():
            weight += 0.1
        now = model.policy.sequence(lived.obs, lived.first, lived.memory, None, lived.action).features
        empty = model.policy.initial(4)
        alone = model.policy.sequence(lived.obs[:, 2:], lived.first[:, 2:], empty, None, lived.action[:, 2:]).features
    assert torch.allclose(now[:, 2:], alone, atol=1e-5)
    assert beside is not None


def test_a_replay_forgets_the_oldest():
    model = learner(buffer_size=64)
    model.learn(4 * 8 * 5)
    assert len(model.replay) == 64
    assert footprint(model)["replay"] >= sum(
        t.numel() * t.element_size() for rollout, _ in model.replay._kept for t in (rollout.obs, rollout.action)
    )


def test_targets_stop_at_an_end_and_nothing_is_learned_where_an_episode_is_cut_off():
    model = learner()
    model.learn(64)
    lived, beside = model.replay.draw(4, model.policy, model.generator, before=1)
    lived.terminated[:], lived.truncated[:], lived.ignore[:, :16], lived.first[:] = False, False, False, False
    lived.reward[:] = 1.0
    lived.terminated[0, 11] = True
    output = model.policy.sequence(lived.obs, lived.first, lived.memory, None, lived.action)
    _, later = model.reading.read(lived, beside)
    for layer in (*model.target_critics.hidden, model.target_critics.last):
        layer.bias.data.fill_(0.0)
    model.target_critics.last.bias.data.fill_(7.0)
    model.target_critics.last.weight.data.zero_()
    model.log_ent_coef.data.fill_(-30.0)
    size = model.policy.return_normalizer.size
    target = model._target(lived, output, later)
    assert target.shape == (4, 16)
    assert float(target[0, 11]) == pytest.approx(1 / float(size), rel=1e-4)
    assert float(target[1, 11]) == pytest.approx(1 / float(size) + 0.99 * 7.0, rel=1e-4)
    lived.truncated[1, 10] = True
    lived.ignore[2, 13] = True
    lived.truncated[0, 11] = True  # ended and cut off at once: ended

    def losses():
        model.generator.manual_seed(0)
        return model._losses(lived, beside).critic

    before = losses()
    lived.reward[1, 10] += 100.0
    lived.reward[2, 13] += 100.0
    lived.reward[:, :8] += 100.0  # burnt in
    lived.reward[:, 16] += 100.0  # of which nothing counts but that it follows
    assert torch.equal(losses(), before)
    for row, step in ((0, 11), (3, 8), (3, 15)):
        lived.reward[row, step] += 100.0
        assert losses() > before
        lived.reward[row, step] -= 100.0


def test_where_an_episode_begins_memory_needs_no_burning_in():
    model = learner("Pendulum-v1", policy="GRUPolicy")
    model.learn(64)
    lived, beside = model.replay.draw(4, model.policy, model.generator, before=1)
    lived.first[:] = False
    lived.first[2, 5] = True

    def loss():
        model.generator.manual_seed(0)
        return model._losses(lived, beside).critic

    for row, step, counts in ((2, 4, False), (2, 5, True), (1, 7, False), (1, 8, True)):
        before = loss()
        lived.reward[row, step] += 100.0
        assert bool(loss() != before) == counts
        lived.reward[row, step] -= 100.0


def test_a_reward_at_the_end_of_a_sequence_is_learned_from():
    env = gym.vector.SyncVectorEnv([lambda: Paid(8)] * 4, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    model = learner(env)
    model.learn(4 * 8 * 40)
    assert model.logger.name_to_value.get("train/value", 0) != 0
    lived, beside = model.replay.draw(4, model.policy, model.generator)
    assert lived.reward[:, 7].eq(1).all()
    before = model._losses(lived, beside).critic
    lived.reward[:, 7] += 10.0
    assert model._losses(lived, beside).critic > before + 1


def test_the_worth_of_entropy_rises_where_there_is_too_little_of_it():
    for wanted, rises in ((50.0, True), (-50.0, False)):
        model = learner(target_entropy=wanted)
        before = float(model.log_ent_coef.detach())
        model.learn(64)
        assert (float(model.log_ent_coef.detach()) > before) == rises


def test_targets_follow_by_tau_and_no_more():
    model = learner(tau=0.25)
    model.learn(32)
    for target, learned in (
        (model.target_critics, model.critics),
        (model.reading.target, model.reading.network),
    ):
        old = [p.clone() for p in target.parameters()]
        with torch.no_grad():
            for p in learned.parameters():
                p += 1.0
        follow(model.target_critics, model.critics, 0.25)
        model.reading.follow(0.25)
        for before, now, goal in zip(old, target.parameters(), learned.parameters(), strict=True):
            assert torch.allclose(now, before + 0.25 * (goal - before), atol=1e-6)
            assert not now.requires_grad


@pytest.mark.parametrize("policy", ["TransformerPolicy", "GRUPolicy", "MlpPolicy"])
def test_every_kind_of_policy_learns_alike_from_the_same_seed(policy):
    first, second = (learner(policy=policy) for _ in range(2))
    for model in (first, second):
        model.learn(96)
    assert first._n_updates == 6
    for a, b in zip(first.policy.parameters(), second.policy.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.isfinite(a).all()


def test_where_a_state_is_privileged_the_critics_read_that_and_the_policy_does_not():
    model = learner(as_vec_env(SIGNPOST, 4))
    assert isinstance(model.reading, PrivilegedReading)
    assert model.remembering == (model.policy,)
    assert model.critics.hidden[0].weight.shape[1] == model._privileged.critic_size + model.policy.action_head.size
    before = [p.clone() for p in model.policy.core.parameters()]
    model.learn(96)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.policy.core.parameters(), strict=True))


def test_a_learner_that_was_saved_goes_on_and_its_policy_acts_as_any_other(tmp_path):
    model = learner()
    model.learn(96)
    model.save(tmp_path)
    again = SequenceSAC.load(tmp_path)
    assert again.config == model.config
    own = again.own_tensors()
    assert own.keys() == model.own_tensors().keys()
    assert all(torch.equal(value, own[name]) for name, value in model.own_tensors().items())
    again.learn(32, reset_num_timesteps=False)
    assert again.num_timesteps == 128
    policy = load_policy(tmp_path)
    obs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    expected, _ = model.predict(obs, deterministic=True)
    assert np.array_equal(expected, policy.predict(obs, deterministic=True)[0])
    assert evaluate(policy_agent(policy), as_vec_env("Pendulum-v1", 2), 2).episodes == 2
    with pytest.raises(CheckpointError, match="SequenceSAC"):
        SequencePPO.load(tmp_path)


def policy_agent(policy):
    from embodied.nn.agent import NetworkAgent

    return NetworkAgent(policy)


def test_the_critics_reader_normalizes_as_the_policy_does():
    model = learner(normalize=True)
    model.learn(64)
    expected = model.policy.encoder.state_dict()
    scale = [name for name in expected if "running" in name]
    assert scale
    for reader in (model.reading.network, model.reading.target):
        assert all(torch.equal(reader.encoder.state_dict()[name], expected[name]) for name in scale)


def test_one_that_is_resumed_gathers_experience_before_it_goes_on(tmp_path):
    model = learner(learning_starts=64)
    model.learn(96)
    assert model._n_updates == 4
    model.save(tmp_path)
    again = SequenceSAC.load(tmp_path)
    again.learn(32, reset_num_timesteps=False)
    assert (again.num_timesteps, again._n_updates, len(again.replay)) == (128, 4, 32)


def test_another_size_of_critics_is_refused(tmp_path):
    model = learner()
    model.save(tmp_path)
    with pytest.raises(CheckpointError, match="another size"):
        SequenceSAC.load(tmp_path, n_critics=3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"burn_in": -1}, "burn_in"),
        ({"tau": 0.0}, "tau"),
        ({"n_critics": 1}, "n_critics"),
        ({"n_epochs": 3}, "SequenceSAC has no setting 'n_epochs'"),
        ({"shaping_curriculum": 0.5}, "shaping_curriculum"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(OptionError, match=words):
        learner(**settings)


def test_a_replay_draws_as_many_sequences_as_were_asked_for_and_none_twice():
    model = SequenceSAC("MlpPolicy", "Pendulum-v1", SMALL, n_envs=1, seed=0, policy_kwargs={"layers": 1, "width": 16})
    model.learn(8 * 12)
    drawn, _ = model.replay.draw(12, model.policy, model.generator)
    assert len(np.unique(drawn.obs[:, 0].numpy(), axis=0)) == 12


def test_a_squashed_policy_and_another_do_not_go_on_from_each_other():
    squashed = learner().policy
    with pytest.raises(OptionError, match="squashed"):
        SequencePPO(squashed, "Pendulum-v1", n_envs=1, n_steps=8)
    with pytest.raises(OptionError, match="squashed"):
        SequencePPO("MlpPolicy", "Pendulum-v1", n_envs=1, n_steps=8, policy_kwargs={"squash": True})
    with pytest.raises(OptionError, match="squashed"):
        compose([squashed, squashed])
    again = SequenceSAC(squashed, "Pendulum-v1", SMALL, n_envs=4, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(squashed.parameters(), again.policy.parameters(), strict=True))


def test_a_guard_takes_critics_back_with_the_policy():
    model = learner()
    guard = DivergenceGuard(restore=True, report=lambda message: None)
    guard.init_callback(model)
    guard._keep()
    before = [value.clone() for value in model.own_tensors().values()]
    model.learn(64)
    guard._best, guard._best_at = 0.0, 0
    guard._act(-1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.own_tensors().values(), strict=True))


def test_it_is_trained_and_gone_on_with_from_the_command_line(tmp_path):
    small = ["--n-envs", "2", "--n-steps", "8", "--batch-size", "16", "--gradient-steps", "1", "--learning-starts", "8"]
    network = ["--layers", "1", "--width", "16", "--burn-in", "0", "--threads", "1", "--run", tmp_path / "run"]
    begun = embodied("train-sac", "Signpost-v0", "--steps", "32", *small, *network)
    assert begun.returncode == 0, begun.stderr
    other = embodied("train", "Signpost-v0", "--resume", "--run", tmp_path / "run")
    assert other.returncode == 2
    assert "embodied train-sac" in other.stderr
    again = embodied("train-sac", "Signpost-v0", "--resume", "--steps", "64", "--run", tmp_path / "run")
    assert again.returncode == 0, again.stderr
    assert load_json(tmp_path / "run" / "policy" / "trainer.json")["num_timesteps"] == 64
    refused = embodied("train-sac", "Signpost-v0", "--expert", "heuristic", "--run", tmp_path / "other")
    assert "--expert" in refused.stderr


def test_choices_are_refused():
    with pytest.raises(OptionError, match="Box"):
        learner("CartPole-v1")


@pytest.mark.slow
def test_off_policy_what_was_shown_once_is_remembered_and_used():
    env = gym.vector.SyncVectorEnv([TargetEnv] * 16, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    model = SequenceSAC(
        "TransformerPolicy", env, n_steps=16, batch_size=256, gradient_steps=16, learning_starts=256, burn_in=0,
        learning_rate=3e-3, gamma=0.9, tau=0.02, seed=0, policy_kwargs={"layers": 1, "width": 32, "context": 8},
    )  # fmt: skip
    model.learn(16 * 16 * 40, callback=Solved(50, 3.3))
    earned = np.mean([episode["r"] for episode in list(model.ep_info_buffer)[-50:]])
    assert earned > 3.2  # without memory 2.5 at most: 1 in the first step, in which it sees, and half of what is left
