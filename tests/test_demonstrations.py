"""What somebody demonstrates is kept as it was, and can be imitated without any reward."""

import json

import numpy as np
import pytest
import torch
from conftest import QUICK
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from embodied.errors import CheckpointError, OptionError
from embodied.learn.cloning import CARD, STEPS, Demonstrations, collect_demonstrations
from embodied.learn.ppo import SequencePPO
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_policies import MlpPolicy, TransformerPolicy
from embodied_scripts.studies.recall_env import RecallEnv, Rememberer

DELAY = 8


def worlds(n=8, mode=AutoresetMode.SAME_STEP):
    return GymVecEnv(SyncVectorEnv([lambda: RecallEnv(DELAY)] * n, autoreset_mode=mode))


def trainer(policy=TransformerPolicy):
    kind = {"layers": 1, "width": 32} | ({"context": 16} if policy is TransformerPolicy else {})
    return SequencePPO(
        policy, worlds(32), QUICK, n_steps=36, minibatches=4, learning_rate=2e-3, seed=0, policy_kwargs=kind
    )


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_whole_episodes_are_kept_in_every_dialect(mode):
    shown = collect_demonstrations(Rememberer(), worlds(4, mode), 12)
    assert len(shown) == 12
    assert shown.steps["first"].sum() == 12
    lengths = np.diff([*np.flatnonzero(shown.steps["first"]), len(shown.steps["first"])])
    assert (lengths == lengths[0]).all()
    assert lengths[0] > DELAY
    cue = shown.steps["obs"][shown.steps["first"], 0] > 0
    assert (shown.steps["action"].reshape(12, -1) == cue[:, None]).all()


def test_what_was_kept_comes_back_from_disk(tmp_path):
    shown = collect_demonstrations(Rememberer(), worlds(), 8)
    shown.save(tmp_path)
    again = Demonstrations.load(tmp_path)
    assert again.card == shown.card
    assert (again.success == shown.success).all()
    for name, array in shown.steps.items():
        np.testing.assert_array_equal(again.steps[name], array)


def test_a_step_is_worth_what_was_earned_from_there_on_less_the_potential():
    card = collect_demonstrations(Rememberer(), worlds(1), 1).card
    steps = {
        "obs": np.zeros((5, 3), np.float32),
        "action": np.zeros(5, np.int64),
        "first": np.array([True, False, False, True, False]),
        "reward": np.array([1.0, 2.0, 4.0, 8.0, 16.0], np.float32),
        "shaping": np.array([0.5, 0.0, 0.0, 0.0, 0.0], np.float32),
    }
    model = trainer()
    rollout = Demonstrations(card, steps, np.array([True, False])).as_rollout(model.policy, 0.5, 0, 0)
    torch.testing.assert_close(rollout.returns, torch.tensor([[2.5, 4.0, 4.0], [16.0, 16.0, 0.0]]))
    assert rollout.ignore.tolist() == [[False] * 3, [False, False, True]]


def test_of_demonstrations_without_a_reward_or_anything_hidden_only_the_actor_learns():
    shown = collect_demonstrations(Rememberer(), worlds(), 16)
    shown.steps["reward"][:] = 0.0
    model = trainer()
    before = {name: value.clone() for name, value in model.policy.named_parameters()}
    nats = model.clone(shown, epochs=5)
    changed = {name for name, value in model.policy.named_parameters() if not torch.equal(value, before[name])}
    assert nats[-1] < nats[0]
    assert not [name for name in changed if "value" in name or "critic" in name]
    assert [name for name in changed if "action" in name]
    blind = {name: array for name, array in shown.steps.items() if name not in ("state", "hidden")}
    rollout = Demonstrations(shown.card, blind, shown.success).as_rollout(model.policy, 0.9, state=7, hidden=2)
    assert rollout.actor_only
    one_of_them = blind | {"hidden": np.zeros((len(blind["obs"]), 2), np.float32)}
    with pytest.raises(CheckpointError, match="0 numbers of the state, not 7"):
        Demonstrations(shown.card, one_of_them, shown.success).as_rollout(model.policy, 0.9, state=7, hidden=2)


def test_who_studies_demonstrations_needs_no_reward():
    shown = collect_demonstrations(Rememberer(), worlds(), 64)
    model = trainer()
    nats = model.clone(shown, epochs=40)
    assert np.mean(nats[-4:]) < 0.1 < np.mean(nats[:4])
    obs, memory, right = np.asarray(model.env.reset()), None, []
    cue = obs[:, 0] > 0
    for t in range(DELAY + 2):
        action, memory = model.predict(obs, memory, np.full(32, t == 0), deterministic=True)
        right.append((action == cue).mean())
        obs, *_ = model.env.step(action)
    assert min(right[: DELAY + 1]) > 0.95


def test_a_network_without_memory_may_study_too():
    nats = trainer(MlpPolicy).clone(collect_demonstrations(Rememberer(), worlds(), 16), epochs=2)
    assert np.isfinite(nats).all()


def test_recording_ends_when_it_is_told_to():
    assert len(collect_demonstrations(Rememberer(), worlds(4), 100, ended=lambda done: done < 3)) == 3
    with pytest.raises(OptionError, match="at least 1"):
        collect_demonstrations(Rememberer(), worlds(4), 0)


def test_what_is_damaged_or_of_something_else_is_refused(tmp_path):
    shown = collect_demonstrations(Rememberer(), worlds(), 8)

    def spoilt(name, change):
        folder = tmp_path / name
        steps = {key: array.copy() for key, array in shown.steps.items()}
        change(steps)
        Demonstrations(shown.card, steps, shown.success).save(folder)
        return folder

    with pytest.raises(CheckpointError, match="none, in obs"):
        Demonstrations.load(spoilt("nan", lambda steps: steps["obs"].fill(np.nan)))
    with pytest.raises(CheckpointError, match="do not fit"):
        Demonstrations.load(spoilt("first", lambda steps: steps["first"].fill(True)))
    with pytest.raises(CheckpointError, match="does not exist"):
        Demonstrations.load(tmp_path / "nowhere")
    whole = spoilt("whole", lambda steps: None)
    (whole / STEPS).write_bytes((whole / STEPS).read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="damaged"):
        Demonstrations.load(whole)
    card = json.loads((whole / CARD).read_text())
    shown.save(whole)
    (whole / CARD).write_text(json.dumps(card | {"format": 99}))
    with pytest.raises(CheckpointError, match="of this version"):
        Demonstrations.load(whole)
    unheard = {**shown.steps, "action": np.full_like(shown.steps["action"], 9)}
    with pytest.raises(CheckpointError, match="other spaces"):
        trainer().clone(Demonstrations(shown.card, unheard, shown.success))
    other = shown.card | {"action_space": {"kind": "Discrete", "n": 7, "start": 0}}
    with pytest.raises(CheckpointError, match="action_space"):
        trainer().clone(Demonstrations(other, shown.steps, shown.success))


class Believing:
    """Turns on the spot ever faster, and believes ever more in the second pad."""

    def initial(self, n, seed):
        return np.zeros(n)

    def act(self, carry, obs, first):
        now = np.where(first, 0, carry + 1)
        turn = np.minimum(0.02 * now, 0.6)
        return now, np.column_stack([turn, -turn, 0 * turn]).astype(np.float32)

    def belief(self, carry):
        second = 0.5 + 0.4 * np.minimum(carry / 20, 1)
        return np.column_stack([1 - second, second])


def test_a_disturbed_demonstrator_is_imitated_in_what_it_meant_and_in_what_it_believed(tmp_path):
    env = GymVecEnv(make_vec("embodied/Signpost-v0", 2))
    shown = collect_demonstrations(Believing(), env, 2, noise=0.1)
    shown.save(tmp_path / "demo")
    shown = Demonstrations.load(tmp_path / "demo")
    first = np.flatnonzero(shown.steps["first"])
    length = np.diff([*first, len(shown.steps["first"])])
    age = np.arange(len(shown.steps["first"])) - np.repeat(first, length)
    meant, taken = shown.steps["intended"], shown.steps["action"]
    assert np.allclose(meant[:, 0], np.minimum(0.02 * age, 0.6), atol=1e-6)
    off = [np.std(part) for part in np.split(taken - meant, first[1:])]
    assert sorted(spread > 0 for spread in off) == [False, True]
    assert max(off) == pytest.approx(0.1, rel=0.1)
    assert np.abs(taken).max() <= 1
    model = SequencePPO("TransformerPolicy", env, QUICK, n_steps=8, seed=0)
    sizes = model._privileged.state, len(model._privileged.hidden)
    rollout = shown.as_rollout(model.policy, 0.99, *sizes)
    for name, steps in (("action", taken), ("expert_action", meant), ("expert_belief", shown.steps["belief"])):
        whole = getattr(rollout, name)[~rollout.ignore].numpy()
        assert np.allclose(whole, steps, atol=1e-6), name
    assert shown.steps["belief"][age == 20, 1] == pytest.approx(0.9)
    other = TransformerPolicy(env.observation_space, env.action_space)  # believes nothing
    assert shown.as_rollout(other, 0.99, 0, 0).expert_belief is None
    with pytest.raises(OptionError, match="noise"):
        collect_demonstrations(Rememberer(), worlds(), 4, noise=0.1)


def test_the_learning_rate_of_cloning_falls_to_nothing():
    model = trainer(MlpPolicy)
    rates, update = [], model._update

    def noted(rollout, rows):
        rates.append(model.policy.optimizer.param_groups[0]["lr"])
        return update(rollout, rows)

    model._update = noted
    model.clone(collect_demonstrations(Rememberer(), worlds(), 16), epochs=4)
    each = np.array(rates).reshape(4, -1)
    assert np.allclose(each / each[0, 0], [[1.0], [0.75], [0.5], [0.25]])
