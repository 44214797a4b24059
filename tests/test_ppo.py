"""The learner: exact where it can be computed by hand, and able to learn what needs memory."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from conftest import QUICK, SIGNPOST, CountEnv, Solved
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from embodied.errors import CheckpointError, OptionError, UnknownNameError
from embodied.learn.intrinsic import information_gain
from embodied.learn.ppo import SequencePPO
from embodied.learn.resources import footprint
from embodied.learn.rollout import advantages
from embodied.nn.checkpoint import check_spaces, load_json, save_json
from embodied.nn.policy import load_policy
from embodied.nn.threads import acting_threads
from embodied.vector.vec import Experience, GymVecEnv, as_vec_env, step
from embodied_policies.transformer import TransformerPolicy
from embodied_scripts.studies.recall_env import RecallEnv


def recall_success(context: int, steps: int = 50_000) -> float:
    env = SyncVectorEnv([lambda: RecallEnv(8)] * 32, autoreset_mode=AutoresetMode.SAME_STEP)
    model = SequencePPO(
        TransformerPolicy, env, QUICK, n_steps=36, minibatches=8, learning_rate=1e-3, ent_coef=0.01, seed=0,
        policy_kwargs={"layers": 1, "width": 32, "context": context},
    )  # fmt: skip
    model.learn(steps)
    return float(np.mean([episode["r"] for episode in model.ep_info_buffer]))


def test_with_memory_it_recalls_a_cue_and_without_it_stays_at_chance():
    assert recall_success(context=16) > 0.95
    assert recall_success(context=1, steps=20_000) == pytest.approx(0.5, abs=0.1)


def by_hand(reward, value, bootstrap, last, terminated, truncated, gamma, lam, t):
    """GAE as the sum over the steps until the end of the episode."""
    total, weight = 0.0, 1.0
    for k in range(t, len(reward)):
        ends = terminated[k] or truncated[k]
        following = bootstrap[k] if ends else (value[k + 1] if k + 1 < len(reward) else last)
        total += weight * (reward[k] + gamma * following - value[k])
        if ends:
            break
        weight *= gamma * lam
    return total


def test_advantages_equal_the_sum_written_by_hand():
    rng = np.random.default_rng(0)
    n, steps = 4, 30
    reward, value, bootstrap = rng.normal(size=(3, n, steps))
    terminated = rng.random((n, steps)) < 0.1
    truncated = (rng.random((n, steps)) < 0.1) & ~terminated
    bootstrap *= truncated
    last = rng.normal(size=n)
    tensors = [torch.tensor(x) for x in (reward, value, bootstrap, last, terminated, truncated)]
    fast = advantages(*tensors, 0.97, 0.9).numpy()
    for i in range(n):
        rows = (reward[i], value[i], bootstrap[i], last[i], terminated[i], truncated[i])
        slow = [by_hand(*rows, 0.97, 0.9, t) for t in range(steps)]
        assert np.allclose(fast[i], slow)


class FirstRatios(BaseCallback):
    """Measures, after every rollout, how far training's probabilities are from those of acting."""

    worst = 0.0

    def _on_rollout_end(self) -> None:
        rollout = self.model.rollout_buffer
        rows = torch.arange(self.model.n_envs)
        with torch.no_grad():
            memory = self.model.policy.memories.rows(rollout.memory, rows)
            reading = self.model.policy.sequence(rollout.obs, rollout.first, memory, None, rollout.action)
            gap = reading.actions.log_prob(rollout.action) - rollout.log_prob
        self.worst = max(self.worst, gap.abs().max().item())

    def _on_step(self) -> bool:
        return True


def test_what_acting_saw_is_what_training_sees_over_many_rollouts():
    probe = FirstRatios()
    model = SequencePPO(TransformerPolicy, SIGNPOST, QUICK, n_envs=8, n_steps=32, minibatches=2, seed=0)
    model.learn(8 * 32 * 6, callback=probe)
    assert probe.worst < 1e-4


def test_a_truncated_episode_is_worth_what_comes_after_and_a_terminal_one_is_not():
    returns = {}
    for truncate in (False, True):
        env = SyncVectorEnv([lambda t=truncate: CountEnv(5, t)] * 4, autoreset_mode=AutoresetMode.SAME_STEP)
        model = SequencePPO(TransformerPolicy, env, QUICK, n_steps=10, minibatches=1, n_epochs=1, seed=0)
        with torch.no_grad():
            model.policy.value_head.weight.zero_()
            model.policy.value_head.bias.fill_(10.0)  # the scale of returns is 1 before the first update
        model.collect_rollouts(model.env, *setup(model), model.rollout_buffer, 10)
        returns[truncate] = model.rollout_buffer.returns[0, 4].item()
    assert returns[False] == pytest.approx(1.0, abs=1e-4)
    assert returns[True] == pytest.approx(1.0 + 0.99 * 10.0, abs=1e-4)


def setup(model):
    _, callback = model._setup_learn(1000, None)
    return (callback,)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_all_autoreset_modes_of_gymnasium_give_the_same_episodes(mode):
    env = GymVecEnv(SyncVectorEnv([lambda: CountEnv(3)] * 2, autoreset_mode=mode))
    obs, seen = env.reset(), []
    for _ in range(12):
        experience, infos = step(env, np.zeros(2, int))
        if not experience.ignore[0]:
            seen.append((obs[0].item(), experience.final_obs[0].item(), bool(experience.ended[0])))
        if experience.ended[0]:
            assert infos[0]["episode"] == {"r": 3.0, "l": 3}
        obs = experience.obs
    assert seen[:6] == [(0, 1, False), (1, 2, False), (2, 3, True)] * 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: "CartPole-v1",
        lambda: gym.make("Pendulum-v1"),
        lambda: gym.make_vec("CartPole-v1", num_envs=4),
        lambda: SyncVectorEnv([lambda: gym.make("Pendulum-v1")] * 2),
        lambda: DummyVecEnv([lambda: gym.make("CartPole-v1")] * 3),
    ],
    ids=["id", "Env", "native VectorEnv", "SyncVectorEnv", "SB3 VecEnv"],
)
def test_any_environment_can_be_trained_on(make):
    model = SequencePPO(TransformerPolicy, make(), QUICK, n_steps=64, minibatches=1, n_epochs=1, seed=0)
    model.learn(400)
    assert model.num_timesteps >= 400
    assert all(torch.isfinite(p).all() for p in model.policy.parameters())


@pytest.mark.slow
def test_cartpole_is_learned():
    env = as_vec_env("CartPole-v1", 16)
    model = SequencePPO(TransformerPolicy, env, QUICK, n_steps=64, minibatches=8, learning_rate=1e-3, seed=0)
    model.learn(50_000, callback=Solved(20, 100.0))
    assert np.mean([episode["r"] for episode in list(model.ep_info_buffer)[-20:]]) > 100


def small(env=SIGNPOST, **kwargs) -> SequencePPO:
    settings = {"n_envs": 4, "n_steps": 16, "minibatches": 2, "seed": 0} | kwargs
    return SequencePPO(TransformerPolicy, env, QUICK, **settings)


def test_the_same_seed_trains_the_same_network():
    models = [small(), small()]
    for model in models:
        model.learn(200)
    for a, b in zip(*(m.policy.parameters() for m in models), strict=True):
        assert torch.equal(a, b)


def test_the_policy_sees_nothing_privileged():
    model = small()
    reading = {}
    for scale in (0.0, 5.0):
        with torch.no_grad():
            for parameter in model.policy.critic.parameters():
                parameter.fill_(scale)
        obs = np.ones((2, model.observation_space.shape[0]), np.float32)
        reading[scale] = model.predict(obs, deterministic=True)[0]
    assert np.array_equal(reading[0.0], reading[5.0])
    assert model.policy.encoder.linear.in_features == model.observation_space.shape[0]


def test_a_saved_policy_acts_the_same_and_a_saved_trainer_goes_on(tmp_path):
    model = small()
    model.learn(200)
    model.save(tmp_path)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json"] * 2 + [".safetensors"] * 3
    obs = np.random.default_rng(0).normal(size=(5, model.policy.observation_space.shape[0])).astype(np.float32)
    expected, _ = model.predict(obs, deterministic=True)
    again, _ = load_policy(tmp_path).predict(obs, deterministic=True)
    assert np.array_equal(expected, again)
    resumed = SequencePPO.load(tmp_path, n_envs=4, n_steps=16, minibatches=2)
    assert resumed.num_timesteps == model.num_timesteps
    for a, b in zip(model.policy.parameters(), resumed.policy.parameters(), strict=True):
        moments = [m.policy.optimizer.state[p]["exp_avg"] for m, p in ((model, a), (resumed, b))]
        assert torch.equal(*moments)
    resumed.learn(64, reset_num_timesteps=False)
    assert resumed.num_timesteps == model.num_timesteps + 64


@pytest.fixture
def saved(tmp_path):
    model = small()
    model.save(tmp_path)
    return tmp_path


def test_a_corrupt_or_hostile_checkpoint_is_refused_and_never_executed(saved, tmp_path_factory):
    import pickle

    witness = tmp_path_factory.mktemp("witness") / "executed"

    class Bomb:
        def __reduce__(self):
            return (open, (str(witness), "w"))

    whole = (saved / "policy.safetensors").read_bytes()
    for content in (b"", whole[: len(whole) // 2], pickle.dumps(Bomb())):
        (saved / "policy.safetensors").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"policy\.safetensors is damaged"):
            load_policy(saved)
    assert not witness.exists()
    (saved / "policy.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"policy\.json is damaged"):
        load_policy(saved)


def test_cards_that_lie_are_refused(saved):
    card = load_json(saved / "policy.json")
    for change, message in (
        ({"format": 99}, "format 99"),
        ({"policy": "os.system"}, "no policy 'os.system'"),
        ({"settings": {"layers": 4}}, "does not fit its card"),
        ({"settings": {"layers": 99}}, "1 to 12"),
        ({"observation_space": {"kind": "Box"}}, "cannot be understood"),
    ):
        save_json(saved / "policy.json", card | change)
        with pytest.raises((CheckpointError, ValueError), match=message):
            load_policy(saved)


def test_a_checkpoint_of_another_environment_is_refused_with_both_shapes(saved):
    with pytest.raises(
        CheckpointError, match=r"Signpost-v0 with observation_space \(203,\), but CartPole-v1 has \(4,\)"
    ):
        SequencePPO.load(saved, "CartPole-v1")
    with pytest.raises(CheckpointError, match="does not exist"):
        SequencePPO.load(saved / "nowhere")


def test_an_unknown_environment_lists_close_names():
    with pytest.raises(UnknownNameError, match="embodied/Signpost-v0"):
        SequencePPO(TransformerPolicy, "embodied/Signpots-v0", QUICK)


def test_a_callback_can_stop_training():
    class Enough(BaseCallback):
        def _on_step(self) -> bool:
            return self.num_timesteps < 100

    model = small()
    model.learn(10_000, callback=Enough())
    assert model.num_timesteps < 200


def test_a_foreign_environment_can_be_saved_and_loaded(tmp_path):
    model = small("CartPole-v1", gamma=0.9)
    model.learn(64)
    model.save(tmp_path)
    resumed = SequencePPO.load(tmp_path, n_envs=4)
    assert (resumed.gamma, resumed.n_steps) == (0.9, 16)
    card = model.policy.card()
    with pytest.raises(CheckpointError, match=r"action_space Discrete\(2\), but it has Discrete\(5\)"):
        check_spaces(card, model.observation_space, spaces.Discrete(5), "it")


def test_the_policys_own_load_is_as_safe_as_the_trainers(tmp_path):
    import pickle

    witness = tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (open, (str(witness), "w"))

    bomb = tmp_path / "policy.zip"
    bomb.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError):
        TransformerPolicy.load(bomb)
    assert not witness.exists()
    model = small()
    model.policy.save(tmp_path / "policy")
    assert isinstance(TransformerPolicy.load(tmp_path / "policy"), TransformerPolicy)


def test_a_run_resumed_with_another_number_of_worlds_meets_new_ones(tmp_path):
    model = small()
    first = model._last_obs.copy()
    model.learn(64)
    model.save(tmp_path)
    resumed = SequencePPO.load(tmp_path, n_envs=3)
    assert not np.array_equal(first[:3], resumed.env.reset())
    resumed.learn(48, reset_num_timesteps=False)


def test_one_world_is_as_privileged_as_a_batch():
    model = SequencePPO(TransformerPolicy, gym.make(SIGNPOST), QUICK, n_steps=8, minibatches=1, seed=0)
    assert model.policy.privilege == small().policy.privilege
    model.learn(150)


def test_a_channel_that_never_changes_is_no_trouble():
    policy = TransformerPolicy(spaces.Box(np.array([0, 0]), np.array([1, 0]), dtype=np.float32), spaces.Discrete(2))
    reading, _ = policy.step(torch.zeros(3, 2), torch.ones(3, dtype=torch.bool), policy.initial(3))
    assert torch.isfinite(reading.value).all()


@pytest.mark.parametrize("options", [{}, {"places": "random", "occluders": 2, "decoys": 1}])
def test_a_run_that_was_killed_goes_on_as_if_nothing_had_happened(tmp_path, options):
    def begin():
        return small(as_vec_env(SIGNPOST, 6, **options), n_envs=None)

    whole = begin()
    whole.learn(6 * 16 * 6)
    killed = begin()
    killed.learn(6 * 16 * 3)
    killed.save(tmp_path)
    resumed = begin()
    resumed.resume(tmp_path)
    resumed.learn(6 * 16 * 3, reset_num_timesteps=False)
    assert resumed.num_timesteps == whole.num_timesteps
    for a, b in zip(whole.policy.state_dict().values(), resumed.policy.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(whole.rollout_buffer.obs, resumed.rollout_buffer.obs)


def test_a_state_of_other_worlds_is_refused(tmp_path):
    model = small(as_vec_env(SIGNPOST, 4), n_envs=None)
    model.learn(64)
    model.save(tmp_path)
    other = small(as_vec_env(SIGNPOST, 4, occluders=2), n_envs=None)
    with pytest.raises(CheckpointError, match="of another environment"):
        other.resume(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [1, 100])
def test_a_cue_is_recalled_after_any_delay(delay):
    env = SyncVectorEnv([lambda: RecallEnv(delay)] * 32, autoreset_mode=AutoresetMode.SAME_STEP)
    model = SequencePPO(
        TransformerPolicy, env, QUICK, n_steps=128, minibatches=16, learning_rate=1e-3, ent_coef=0.01, seed=0,
        policy_kwargs={"layers": 1, "width": 32, "context": 128},
    )  # fmt: skip
    model.learn(32 * 128 * (15 if delay == 1 else 40), callback=Solved(200, 0.98))
    assert np.mean([episode["r"] for episode in list(model.ep_info_buffer)[-64:]]) > 0.95


def test_the_memory_that_training_holds_is_stated_and_does_not_grow():
    model = SequencePPO(
        TransformerPolicy,
        as_vec_env(SIGNPOST, 4),
        QUICK,
        n_steps=8,
        minibatches=2,
        seed=0,
        policy_kwargs={"context": 6},
    )
    stated = footprint(model)
    sizes = []
    for _ in range(3):
        model.learn(64, reset_num_timesteps=False)
        cache = [model.policy.memories.tensors(memory) for memory in (model.memory, model.rollout_buffer.memory)]
        sizes.append(sum(t.numel() * t.element_size() for tensors in cache for t in tensors.values()))
    assert footprint(model) == stated
    assert sizes == [stated["memory"]] * 3
    learned = sum(p.numel() * 4 for p in model.policy.parameters())
    assert stated["network"] == 4 * learned


def test_a_small_network_acts_on_one_thread_and_learns_on_all():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with acting_threads(torch.nn.Linear(10, 10), 8):
            assert torch.get_num_threads() == 1
        with acting_threads(torch.nn.Linear(1000, 1000), 128):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_guidance_keeps_the_last_potential_less_and_less_and_at_the_end_none():
    model = SequencePPO(
        TransformerPolicy,
        as_vec_env(SIGNPOST, 4),
        QUICK,
        n_steps=4,
        minibatches=2,
        seed=0,
        shaping_curriculum=0.8,
        policy_kwargs={"context": 6},
    )
    model._privileged_now = {"shaping": np.full(4, -1.0)}
    ended = np.array([True, False, False, False])
    last = Experience(
        None,
        None,
        np.zeros(4),
        ended,
        np.zeros(4, bool),
        np.zeros(4, bool),
        final_privileged={"shaping": np.full(4, -0.5)},
    )
    for left, kept in ((1.0, 1.0), (0.6, 0.5), (0.2, 0.0), (0.0, 0.0)):
        model._current_progress_remaining = left
        signal = model._shaping_signal(last)
        assert signal[0] == pytest.approx(model.gamma * kept * -0.5 + 1.0)
        np.testing.assert_allclose(signal[1:], model.gamma * -0.5 + 1.0, rtol=1e-6)
    model._current_progress_remaining, model.shaping_curriculum = 1.0, 0.0
    assert model._shaping_signal(last)[0] == pytest.approx(1.0)


def test_failures_are_forgiven_while_guidance_lasts_and_successes_and_ends_of_time_are_not_touched():
    model = SequencePPO(
        TransformerPolicy, as_vec_env(SIGNPOST, 4), QUICK, n_steps=4, minibatches=2, seed=0, shaping_curriculum=0.5,
        policy_kwargs={"context": 6},
    )  # fmt: skip
    yes, no = np.ones(4, bool), np.zeros(4, bool)
    last = Experience(
        None, None, np.full(4, -0.5), np.array([True, True, False, False]), np.array([False, False, True, False]), no,
        final_privileged=model.env.privileged, success=np.array([False, True, False, False]),
    )  # fmt: skip
    for left, share in ((1.0, 1.0), (0.75, 0.5), (0.5, 0.0)):
        model._current_progress_remaining = left
        bootstrapped = model._bootstrapped_failures(last)
        np.testing.assert_allclose(bootstrapped, [share, 0, 0, 0])
        assert not model._value_beyond(last, np.zeros(4, np.float32))[[0, 1, 3]].any()
        values = model._value_beyond(replace(last, truncated=no), bootstrapped)
        privileged = [torch.as_tensor(model.env.privileged[name], dtype=torch.float32) for name in ("state", "hidden")]
        with torch.inference_mode():
            assert values[0].item() == pytest.approx(
                share * model.policy.evaluate_value(*privileged)[0].item(), abs=1e-6
            )
        assert not values[1:].any()
    assert not model._bootstrapped_failures(replace(last, ignore=yes)).any()


def test_an_environment_recommends_guidance_and_a_person_decides():
    kind = {"n_steps": 4, "minibatches": 2, "policy_kwargs": {"context": 6}}
    search = as_vec_env("embodied/Search-v0", 4)
    assert (
        SequencePPO(TransformerPolicy, search, QUICK, **kind).shaping_curriculum
        == search.gym_env.task.shaping_curriculum
        > 0
    )
    assert SequencePPO(TransformerPolicy, search, QUICK, shaping_curriculum=0.0, **kind).shaping_curriculum == 0
    assert SequencePPO(TransformerPolicy, as_vec_env(SIGNPOST, 4), QUICK, **kind).shaping_curriculum == 0


def test_what_is_found_out_is_rewarded_once_and_changes_the_worth_of_episodes_by_what_is_known_at_first():
    gamma, known = 0.9, torch.tensor([[0.1, 0.7, 0.7, 1.4, 0.2, 0.6]])
    ends, none = torch.zeros(1, 6, dtype=torch.bool), torch.zeros(1, 6, dtype=torch.bool)
    ends[0, 3] = True
    gain = information_gain(known, torch.tensor([0.9]), ends, none, gamma)
    discounts = gamma ** torch.arange(4)
    assert (gain[0, :4] * discounts).sum().item() == pytest.approx(-0.1)
    assert gain[0, 4:].tolist() == pytest.approx([gamma * 0.6 - 0.2, gamma * 0.9 - 0.6])
    cut = information_gain(known, torch.tensor([0.9]), none, ends, gamma)
    assert cut[0, 3].item() == pytest.approx(gamma * 1.4 - 1.4)


def test_a_policy_can_be_rewarded_for_finding_out_and_is_not_by_default(tmp_path):
    plain, heuristic = (
        SequencePPO(
            TransformerPolicy, SIGNPOST, QUICK, n_envs=8, n_steps=16, minibatches=2, seed=0, information_coef=coef
        )
        for coef in (0.0, 0.5)
    )
    for model in (plain, heuristic):
        model.learn(8 * 16 * 2)
    assert not plain.rollout_buffer.belief_information.any()
    known = heuristic.rollout_buffer.belief_information
    assert (known >= 0).all()
    assert known.std() > 0
    assert not torch.equal(plain.rollout_buffer.advantage, heuristic.rollout_buffer.advantage)
    heuristic.save(tmp_path)
    assert SequencePPO.load(tmp_path, SIGNPOST).config.information_coef == 0.5
    with pytest.raises(OptionError, match="nothing hidden"):
        SequencePPO(TransformerPolicy, "CartPole-v1", QUICK, n_envs=2, information_coef=0.1)
