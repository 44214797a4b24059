"""An expert is imitated, in its own situations and in the learner's, and then surpassed or left as it is."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from conftest import QUICK
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from embodied.errors import OptionError
from embodied.learn.dagger import DAgger
from embodied.learn.lessons import Lessons
from embodied.learn.losses import belief_loss
from embodied.learn.ppo import SequencePPO
from embodied.learn.rollout import Rollout
from embodied.nn.heads import ChoiceHead, GaussianHead
from embodied.nn.policy import load_policy
from embodied.vector.vec import make_vec
from embodied_policies.transformer import TransformerPolicy
from embodied_scripts.studies.recall_env import RecallEnv, Rememberer


def trainer(**settings):
    worlds = SyncVectorEnv([lambda: RecallEnv(8)] * 32, autoreset_mode=AutoresetMode.SAME_STEP)
    kind = {"layers": 1, "width": 32, "context": 16}
    return SequencePPO(
        TransformerPolicy,
        worlds,
        QUICK,
        n_steps=36,
        minibatches=8,
        learning_rate=1e-3,
        seed=0,
        policy_kwargs=kind,
        **settings,
    )


def success(model):
    return np.mean([episode["r"] for episode in list(model.ep_info_buffer)[-100:]])


def test_lessons_teach_what_no_reward_tells():
    steps = 36 * 32 * 12
    taught = trainer(expert=Rememberer(), dagger_share=1.0, reward_coef=0.0).learn(steps)
    assert success(taught) > 0.95
    assert success(trainer(reward_coef=0.0).learn(steps)) < 0.7


def test_after_the_lessons_reinforcement_goes_on():
    model = trainer(expert=Rememberer(), dagger_share=0.5)
    seen = []
    original = model.train

    def train():
        seen.append(model.rollout_buffer.expert_action is not None)
        original()

    model.train = train
    model.learn(36 * 32 * 8)
    assert seen == [True] * 4 + [False] * 4


def test_the_teacher_acts_in_fewer_and_fewer_worlds():
    dagger = DAgger(Rememberer(), 0.5, 10, 0)
    assert [int(dagger.expert_controls(done).sum()) for done in (0.0, 0.25, 0.45)] == [10, 5, 1]
    assert dagger.is_active(0.49)
    assert not dagger.is_active(0.5)


def test_an_expert_may_keep_the_hands_on_some_or_all_worlds():
    assert DAgger(Rememberer(), 0.5, 10, 0, learner_share=0.0).expert_controls(0.49).all()
    some = DAgger(Rememberer(), 0.5, 10, 0, learner_share=0.4)
    assert [int(some.expert_controls(done).sum()) for done in (0.0, 0.25, 0.5, 0.8)] == [10, 8, 6, 6]
    with pytest.raises(OptionError, match="learner_share"):
        DAgger(Rememberer(), 0.5, 10, 0, learner_share=1.5)


class Bystander:
    """An expert that always does the same."""

    def initial(self, n, seed):
        return None

    def act(self, carry, obs, first):
        return None, np.full((len(obs), 1), 0.5, np.float32)


def test_noise_disturbs_what_the_expert_does_in_every_other_world_and_not_what_it_says():
    worlds = SyncVectorEnv([lambda: gym.make("Pendulum-v1")] * 6, autoreset_mode=AutoresetMode.SAME_STEP)
    model = SequencePPO(
        TransformerPolicy, worlds, QUICK, n_steps=64, minibatches=2, seed=0, expert=Bystander(), dagger_share=1.0,
        dagger_learner_share=0.0, dagger_noise=0.3, policy_kwargs={"layers": 1, "width": 16, "context": 8},
    )  # fmt: skip
    model.learn(6 * 64)
    done, said = model.rollout_buffer.action[..., 0], model.rollout_buffer.expert_action[..., 0]
    assert (said == 0.25).all()  # half of what a Pendulum can do is 2 N·m
    assert (done[::2] == said[::2]).all()
    assert (done - said)[1::2].std().item() == pytest.approx(0.3, rel=0.15)
    with pytest.raises(OptionError, match="choices"):
        trainer(expert=Rememberer(), dagger_noise=0.1)


def test_reminders_fade_from_the_end_of_the_lessons_to_that_of_the_training():
    dagger = DAgger(Rememberer(), 0.2, 10, 0, kickstarting_coef=0.5)
    assert [dagger.weight(done) for done in (0.0, 0.19, 0.2, 0.6, 1.0)] == pytest.approx([1, 1, 0.5, 0.25, 0])
    assert not dagger.expert_controls(0.6).any()
    assert DAgger(Rememberer(), 0.2, 10, 0).weight(0.2) == 0


def test_who_is_reminded_keeps_for_longer_what_reward_speaks_against():
    def after(kickstarting_coef):
        return success(
            trainer(
                expert=Rememberer(), dagger_share=0.4, dagger_epochs=1, kickstarting_coef=kickstarting_coef,
                reward_coef=-1.0,
            ).learn(36 * 32 * 20)
        )  # fmt: skip

    assert after(10.0) > after(0.0) + 0.3


def filled(number, begins=()):
    """A rollout of 3 environments and 4 steps whose observations say which one it is, where, and when."""
    rollout = Rollout.empty(3, 4, 3, 2, 0, 0, 0, "cpu")
    rollout.obs[..., 0], rollout.obs[..., 1] = number, torch.arange(3.0)[:, None]
    rollout.obs[..., 2] = torch.arange(4.0)
    rollout.expert_action, rollout.memory = rollout.obs[..., :2] + 10, torch.zeros(3, 5)
    for environment, step in begins:
        rollout.first[environment, step] = True
    return rollout


def test_a_lesson_is_what_happened_in_a_row_and_counts_only_where_its_beginning_is_known():
    lessons, policy = Lessons(), trainer(expert=Rememberer()).policy
    for number, begins in enumerate(([(0, 0), (1, 0), (2, 0)], [(1, 2)], [(2, 3)])):
        lessons.add(filled(number, begins))
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(40):
        lesson = lessons.draw(2, policy, generator)
        assert torch.equal(lesson.expert_action, lesson.obs[..., :2] + 10)
        assert lesson.imitation_only
        for row, first, ignored in zip(lesson.obs, lesson.first, lesson.ignore, strict=True):
            last, environment = int(row[-1, 0]), int(row[0, 1])
            seen.add((last, environment))
            when = [(max(last - 1, 0), t) for t in range(4)] * (last > 0) + [(last, t) for t in range(4)]
            assert [(int(number), int(t)) for number, _, t in row] == when
            assert (row[:, 1] == environment).all()
            unknown = first[:4].cumsum(0) == 0 if last else torch.zeros(0, dtype=torch.bool)
            assert ignored[: len(unknown)].tolist() == unknown.tolist()
            assert not ignored[len(unknown) :].any()
    assert len(seen) == 9


def test_the_oldest_lessons_make_room_for_new_ones():
    one = filled(0)
    size = sum(p.numel() * p.element_size() for p in vars(one).values() if isinstance(p, torch.Tensor))
    lessons = Lessons(largest=2 * size)
    for number in range(5):
        lessons.add(filled(number))
    assert len(lessons) == 2
    draws = [lessons.draw(3, trainer(expert=Rememberer()).policy, torch.Generator().manual_seed(s)) for s in range(8)]
    assert {int(lesson.obs[0, -1, 0]) for lesson in draws} == {3, 4}


def test_lessons_without_a_share_are_refused():
    with pytest.raises(OptionError, match="share"):
        DAgger(Rememberer(), 0.0, 4, 0)
    with pytest.raises(OptionError, match="kickstarting_coef"):
        DAgger(Rememberer(), 0.2, 4, 0, kickstarting_coef=-1.0)


@pytest.mark.parametrize("head", [
    GaussianHead(4, spaces.Box(np.array([-2, 0], np.float32), np.array([2, 5], np.float32))),
    ChoiceHead(4, spaces.MultiDiscrete([3, 4], start=[1, -2])),
])  # fmt: skip
def test_what_a_teacher_says_is_the_inverse_of_what_the_environment_is_told(head):
    said = (
        np.array([[1.0, 2.5], [-2.0, 5.0]], np.float32)
        if isinstance(head, GaussianHead)
        else np.array([[3, 1], [1, -2]])
    )
    np.testing.assert_allclose(head.to_env(head.from_env(said)), said, atol=1e-6)


def test_spread_never_falls_so_low_that_nothing_is_tried():
    head = GaussianHead(4, spaces.Box(-1, 1, (2,), np.float32))
    head.log_std.data[:] = torch.tensor([-5.0, 0.0])
    head.keep_exploring(0.2)
    assert head.log_std.exp().tolist() == pytest.approx([0.2, 1.0])


class Believer:
    """An expert in Signpost that does nothing and believes the more in the second pad, the longer an episode lasts."""

    def initial(self, n, seed):
        return np.zeros(n)

    def act(self, carry, obs, first):
        return np.where(first, 0, carry + 1), np.zeros((len(obs), 3), np.float32)

    def belief(self, carry):
        second = 0.5 + 0.4 * np.minimum(carry / 8, 1)
        return np.column_stack([1 - second, second])


def believing(expert, **settings):
    kind = {"layers": 1, "width": 32, "context": 16}
    env = make_vec("embodied/Signpost-v0", 4, threads=1)
    given = {"n_steps": 16, "minibatches": 2, "seed": 0, "dagger_share": 1.0, "policy_kwargs": kind} | settings
    return SequencePPO(TransformerPolicy, env, QUICK, expert=expert, **given)


def test_an_experts_belief_takes_the_place_of_the_truth():
    model = believing(Believer(), learning_rate=3e-3, belief_coef=1.0).learn(4 * 16 * 12)
    rollout = model.rollout_buffer
    assert torch.allclose(rollout.expert_belief.sum(-1), torch.ones(4, 16))
    rows = torch.arange(4)
    output = model.policy.sequence(
        rollout.obs, rollout.first, model.policy.memories.rows(rollout.memory, rows), None, rollout.action
    )
    own = output.belief.softmax(-1)
    assert (own - rollout.expert_belief).abs().mean() < 0.1  # whichever pad it is
    nats = belief_loss(model.policy, output, rollout, rows, ~rollout.ignore)
    by_hand = -(rollout.expert_belief * own.log()).sum(-1)[~rollout.ignore].mean()
    assert nats.item() == pytest.approx(by_hand.item(), rel=1e-4)
    truth = rollout.hidden[..., 0].long()
    rollout.expert_belief = None
    by_truth = -own.log().gather(-1, truth[..., None])[..., 0][~rollout.ignore].mean()
    assert belief_loss(model.policy, output, rollout, rows, ~rollout.ignore).item() == pytest.approx(
        by_truth.item(), rel=1e-4
    )


def test_an_expert_that_believes_nothing_or_of_other_values_leaves_the_truth():
    class Confused(Believer):
        def belief(self, carry):
            return np.full((len(carry), 3), 1 / 3)

    for expert in (Confused(), Silent()):
        assert believing(expert).learn(64).rollout_buffer.expert_belief is None


class Silent:
    """Does nothing, and does not say what it believes."""

    def initial(self, n, seed):
        return None

    def act(self, carry, obs, first):
        return carry, np.zeros((len(obs), 3), np.float32)


def test_features_learn_to_tell_the_privileged_state_where_that_is_asked_for(tmp_path):
    model = believing(Silent(), state_coef=1.0, learning_rate=3e-3)
    losses = []
    original = model._update

    def update(rollout, rows):
        losses.append(original(rollout, rows))
        return losses[-1]

    model._update = update
    model.learn(4 * 16 * 8)
    error = [one.state.item() for one in losses]
    assert np.mean(error[-10:]) < 0.3 * np.mean(error[:10])
    total = losses[-1].total(model.config)
    without = losses[-1].total(model.config.with_settings({"state_coef": 0.0}))
    assert (total - without).item() == pytest.approx(losses[-1].state.item(), rel=1e-3)
    model.save(tmp_path / "run")
    assert load_policy(tmp_path / "run").state_head is not None
    assert believing(Silent()).policy.state_head is None
    with pytest.raises(OptionError, match="privileged_critic"):
        believing(Silent(), state_coef=1.0, privileged_critic=False)
    with pytest.raises(OptionError, match="privileged state"):
        SequencePPO("MlpPolicy", "CartPole-v1", QUICK, state_coef=1.0)
