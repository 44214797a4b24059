"""An expert is imitated, in its own situations and in the learner's, and then surpassed or left as it is."""

import numpy as np
import pytest
import torch
from conftest import QUICK
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from embodied.errors import OptionError
from embodied.learn.dagger import DAgger
from embodied.learn.ppo import SequencePPO
from embodied.nn.heads import ChoiceHead, GaussianHead
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


def test_reminders_fade_from_the_end_of_the_lessons_to_that_of_the_training():
    dagger = DAgger(Rememberer(), 0.2, 10, 0, kickstarting_coef=0.5)
    assert [dagger.weight(done) for done in (0.0, 0.19, 0.2, 0.6, 1.0)] == pytest.approx([1, 1, 0.5, 0.25, 0])
    assert not dagger.expert_controls(0.6).any()
    assert DAgger(Rememberer(), 0.2, 10, 0).weight(0.2) == 0


def test_who_is_reminded_keeps_for_longer_what_reward_speaks_against():
    def after(kickstarting_coef):
        return success(
            trainer(expert=Rememberer(), dagger_share=0.4, kickstarting_coef=kickstarting_coef, reward_coef=-1.0).learn(
                36 * 32 * 20
            )
        )

    assert after(10.0) > after(0.0) + 0.3


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
