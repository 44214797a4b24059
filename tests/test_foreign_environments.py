"""Environments of others: their own names, masks, spaces and numbers, and Stable-Baselines3's habits."""

import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics
from gymnasium.wrappers.vector import FlattenObservation, NormalizeObservation, NormalizeReward
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked
from sb3_contrib.common.wrappers import ActionMasker
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from embodied.agent import act
from embodied.errors import CheckpointError, ObservationError, OptionError, UnknownNameError
from embodied.evaluation import evaluate
from embodied.hidden import Discrete, Extras
from embodied.learn import SequencePPO
from embodied.nn.agent import NetworkAgent
from embodied.nn.heads import action_head
from embodied.nn.normalization import RunningMeanStd
from embodied.spaces import Codec
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import GymVecEnv, as_vec_env, step
from embodied_policies import MlpPolicy, TransformerPolicy
from embodied_scripts.cli.evaluate import Evaluate

SMALL = {"n_steps": 16, "minibatches": 1, "n_epochs": 1, "seed": 0}
SAME_STEP = AutoresetMode.SAME_STEP


class Plain(gym.Env):
    """Episodes of five steps; the action is worth its first number."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.look(), self.tell()

    def step(self, action):
        self.t += 1
        return self.look(), float(np.ravel(action)[0]), self.t == 5, False, self.tell()

    def look(self):
        return np.array([self.t / 5, 0.5], np.float32)

    def tell(self):
        return {}


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [True, np.zeros(3), "treasure", (), {"a": 1}, 7])
def test_what_an_environment_calls_hidden_is_its_own_affair(hidden):
    class Named(Plain):
        def tell(self):
            odd = {
                "hidden": "x",
                "state": None,
                "shaping": {"a": 1},
                "success": "maybe",
                "sampled_parameters": object(),
            }
            return odd | {"failed": True, 3: 4, "episode": 5, "final_info": 1} if self.t else odd

    Named.hidden = hidden
    model = SequencePPO(MlpPolicy, Named(), **SMALL)
    model.learn(32)
    assert model.policy.belief_head is None
    assert not model.rollout_buffer.ignore.any()
    assert model.ep_info_buffer[0]["l"] == 5


def test_an_environment_that_declares_extras_is_believed_and_one_that_misuses_the_name_is_refused():
    class Coin(Plain):
        embodied_extras = Extras((Discrete("coin", ("heads", "tails"), (0.5, 0.5)),))

        def tell(self):
            return {"hidden": np.array([1.0]), "failed": self.t == 3}

    vec = as_vec_env(SyncVectorEnv([Coin, Coin], autoreset_mode=SAME_STEP))
    vec.reset()
    assert vec.privileged["hidden"].tolist() == [[1.0], [1.0]]
    failed = [step(vec, np.zeros((2, 1), np.float32))[0].void.tolist() for _ in range(3)]
    assert failed == [[False, False], [False, False], [True, True]]
    Coin.embodied_extras = "everything"
    with pytest.raises(OptionError, match="embodied_extras of an environment is 'everything'"):
        as_vec_env(Coin())
    with pytest.raises(OptionError, match="a hidden variable is a Discrete or a Continuous, not 'coin'"):
        Extras(("coin",))


def test_the_return_that_is_reported_is_the_environments_own_and_not_a_wrappers():
    class Earning(Plain):
        def step(self, action):
            obs, _, over, cut, info = super().step(action)
            return obs, 100.0, over, cut, info

    for env in (
        NormalizeReward(SyncVectorEnv([lambda: RecordEpisodeStatistics(Earning())] * 2, autoreset_mode=SAME_STEP)),
        gym.wrappers.NormalizeReward(RecordEpisodeStatistics(Earning())),
    ):
        model = SequencePPO(MlpPolicy, env, **SMALL)
        model.learn(64)
        assert [one["r"] for one in model.ep_info_buffer] == [500.0] * len(model.ep_info_buffer)
        assert evaluate(NetworkAgent(model.policy), model.env, 4).reward == 500.0
    model = SequencePPO(MlpPolicy, Earning(), **SMALL)  # nobody counts inside
    model.learn(32)
    assert model.ep_info_buffer[0] == {"r": 500.0, "l": 5}


# --- masks ----------------------------------------------------------------------------------------------------------


class Doors(gym.Env):
    """Four doors of which two, drawn anew with each step, are locked; counts who runs into one."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Discrete(4, start=2)
    illegal = 0

    def __init__(self, told="both"):
        self.told = told

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        self.draw()
        return np.zeros(1, np.float32), self.tell(self.told in ("both", "reset"))

    def step(self, action):
        Doors.illegal += not self.mask[action - 2]
        self.t += 1
        self.draw()
        told = self.told in ("both", "step") or (self.told == "sometimes" and self.t % 2 == 0)
        return np.zeros(1, np.float32), 1.0, self.t == 6, False, self.tell(told)

    def draw(self):
        self.mask = np.zeros(4, np.int8)
        self.mask[self.np_random.choice(4, 2, replace=False)] = 1

    def tell(self, told):
        return {"action_mask": self.mask.copy()} if told else {}


class Asked(Doors):
    def __init__(self):
        super().__init__("never")

    def action_masks(self):
        return self.mask


class Deep(gym.Wrapper):
    """Any wrapper that hides a mask below it."""


MASKED = {
    "told by infos": Doors,
    "asked": Asked,
    "asked below wrappers": lambda: Deep(RecordEpisodeStatistics(Asked())),
    "ActionMasker below wrappers": lambda: Deep(ActionMasker(Doors("never"), lambda env: env.unwrapped.mask)),
}


@pytest.mark.parametrize("make", MASKED.values(), ids=MASKED)
@pytest.mark.parametrize("kind", ["same step", "next step", "disabled", "async", "stable"])
def test_nothing_forbidden_is_ever_done_whoever_tells_and_however_environments_are_reset(make, kind):
    Doors.illegal = 0
    mode = {"next step": AutoresetMode.NEXT_STEP, "disabled": AutoresetMode.DISABLED}.get(kind, SAME_STEP)
    if kind == "async":
        env = AsyncVectorEnv([make] * 2, autoreset_mode=mode, context="fork")
    else:
        env = DummyVecEnv([make] * 2) if kind == "stable" else SyncVectorEnv([make] * 2, autoreset_mode=mode)
    model = SequencePPO(TransformerPolicy, env, **SMALL)
    model.learn(64)
    chosen = model.rollout_buffer.action.long()
    counts = ~model.rollout_buffer.ignore
    allowed = model.rollout_buffer.mask.gather(2, chosen)[..., 0]
    assert allowed[counts].all()
    assert model.rollout_buffer.mask[counts].sum(-1).unique().tolist() == [2]
    report = evaluate(NetworkAgent(model.policy, deterministic=False), model.env, 8)
    assert report.reward == 6.0
    assert Doors.illegal == 0  # of another process, no news
    env.close()


@pytest.mark.parametrize("told", ["step", "reset", "sometimes"])
@pytest.mark.parametrize("wrap", [lambda env: env, lambda env: DummyVecEnv([lambda: env])], ids=["gym", "stable"])
def test_a_mask_that_is_told_only_now_and_then_is_refused(told, wrap):
    with pytest.raises(OptionError, match=r"info\['action_mask'\] was told, but not .*at every reset and step"):
        SequencePPO(MlpPolicy, wrap(Doors(told)), **SMALL).learn(32)


def test_masks_of_the_wrong_size_or_that_allow_nothing_are_refused():
    class Wrong(Asked):
        def action_masks(self):
            return self.mask[:3]

    class Locked(Asked):
        def action_masks(self):
            return np.zeros(4)

    with pytest.raises(OptionError, match=r"masks of shape \(1, 3\) for 1 environments with 4 choices"):
        as_vec_env(Wrong()).reset()
    with pytest.raises(OptionError, match="action mask of environment 0 allows nothing"):
        as_vec_env(Locked()).reset()


def test_predictions_follow_masks_as_in_sb3_contrib_and_are_refused_without():
    env = DummyVecEnv([Asked])
    model = SequencePPO(TransformerPolicy, env, **SMALL)
    obs = np.zeros((4, 1), np.float32)
    masks = np.eye(4)
    for deterministic in (True, False):
        actions, _ = model.predict(obs, deterministic=deterministic, action_masks=masks)
        assert actions.tolist() == [2, 3, 4, 5]
    Doors.illegal = 0
    mean, _ = evaluate_masked(model, Monitor(Asked()), n_eval_episodes=5)
    assert (mean, Doors.illegal) == (6.0, 0)
    with pytest.raises(OptionError, match="give action_masks to predict"):
        evaluate_policy(model, Monitor(Asked()), n_eval_episodes=1)
    with pytest.raises(OptionError, match="give action_masks to predict"):
        act(NetworkAgent(model.policy), NetworkAgent(model.policy).initial(4, 0), obs, np.ones(4, bool), None)
    with pytest.raises(OptionError, match="a mask of 3 choices, where this policy has 4"):
        model.predict(obs, action_masks=np.ones((4, 3)))


def test_a_policy_with_masks_stays_one_when_it_is_saved_and_exported(tmp_path):
    pytest.importorskip("onnxruntime")
    from embodied.nn.onnx import export_onnx
    from embodied.nn.onnx_agent import OnnxAgent

    model = SequencePPO(TransformerPolicy, Asked(), **SMALL)
    model.policy.save(tmp_path / "policy")
    again = TransformerPolicy.load(tmp_path / "policy")
    with pytest.raises(OptionError, match="give action_masks"):
        again.predict(np.zeros((1, 1), np.float32))
    agent = OnnxAgent(export_onnx(model.policy, tmp_path / "policy.onnx"))
    with pytest.raises(OptionError, match="set `allowed`"):
        agent.act(agent.initial(4, 0), np.zeros((4, 1), np.float32), np.ones(4, bool))
    agent.allowed = np.eye(4)
    _, actions = agent.act(agent.initial(4, 0), np.zeros((4, 1), np.float32), np.ones(4, bool))
    assert actions.tolist() == [2, 3, 4, 5]


def test_several_choices_have_their_masks_side_by_side_or_one_by_one():
    class Dials(Plain):
        action_space = spaces.MultiDiscrete([2, 3])
        parts = True

        def action_masks(self):
            masks = np.array([1, 0]), np.array([0, 0, 1])
            return masks if self.parts else np.concatenate(masks)

    for Dials.parts in (True, False):
        model = SequencePPO(MlpPolicy, SyncVectorEnv([Dials] * 2, autoreset_mode=SAME_STEP), **SMALL)
        model.learn(32)
        assert model.rollout_buffer.action.unique(dim=1)[:, 0].tolist() == [[0, 2], [0, 2]]


# --- spaces ---------------------------------------------------------------------------------------------------------

BOXES = {
    "int8": spaces.Box(-128, 127, (2,), np.int8),
    "uint8": spaces.Box(0, 255, (2, 2), np.uint8),
    "int64": spaces.Box(-(2**63), 2**63 - 1, (2,), np.int64),
    "odd": spaces.Box(np.array([-3, 0]), np.array([7, 1]), dtype=np.int32),
    "bool": spaces.Box(0, 1, (3,), np.bool_),
    "huge": spaces.Box(-3e38, 3e38, (2,), np.float32),
    "float64": spaces.Box(-2.0, 5.0, (), np.float64),
    "one point": spaces.Box(2.0, 2.0, (1,), np.float32),
}


@pytest.mark.parametrize("space", BOXES.values(), ids=BOXES)
def test_an_action_lies_in_its_box_and_is_of_its_kind(space):
    head = action_head(8, space)
    for unit in (-50.0, -1.0, -0.3, 0.0, 0.41, 1.0, 1e9):
        action = head.to_env(torch.full((3, head.size), unit))
        assert action.dtype == space.dtype
        assert all(space.contains(one) for one in action)
    low, high = (head.to_env(torch.full((1, head.size), end))[0] for end in (-1.0, 1.0))
    assert np.array_equal(low, space.low)
    assert np.allclose(high.astype(float), space.high.astype(float))
    middle = head.to_env(head.from_env(head.to_env(torch.full((1, head.size), 0.4))))
    assert np.allclose(middle.astype(float), head.to_env(torch.full((1, head.size), 0.4)).astype(float))


@pytest.mark.parametrize(
    ("space", "why"),
    [
        (spaces.Box(-np.inf, np.inf, (2,)), "actions without bounds"),
        (spaces.Box(-1, 1, (0,)), "nothing to do"),
        (spaces.MultiBinary(3), "MultiBinary are not supported"),
        (spaces.Dict({"a": spaces.Discrete(2)}), "Dict are not supported"),
        (spaces.Tuple([spaces.Discrete(2)]), "Tuple are not supported"),
        (spaces.Text(3), "Text are not supported"),
    ],
)
def test_actions_that_nobody_can_choose_are_refused_by_name(space, why):
    class Odd(Plain):
        action_space = space

    with pytest.raises(OptionError, match=why):
        SequencePPO(MlpPolicy, Odd(), **SMALL)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(3),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.Graph(spaces.Box(-1, 1, (2,)), None),
        spaces.OneOf([spaces.Discrete(2), spaces.Box(-1, 1, (2,))]),
        spaces.Dict({"fine": spaces.Discrete(2), "deep": spaces.Tuple([spaces.Text(3)])}),
    ],
)
def test_observations_of_other_kinds_are_refused_by_name(space):
    with pytest.raises(OptionError, match="are not supported; known: Box, Discrete"):
        Codec(space)


def boxes_in(space):
    inner = {spaces.Dict: lambda: space.spaces.values(), spaces.Tuple: lambda: space.spaces}.get(type(space))
    return [space] if inner is None else [box for part in inner() for box in boxes_in(part)]


def leaves():
    sizes = st.lists(st.integers(0, 3), max_size=3)
    boxes = st.builds(
        lambda shape, kind: spaces.Box(0, 1 if kind == "bool" else 100, tuple(shape), np.dtype(kind).type),
        sizes,
        st.sampled_from(["float32", "float64", "float16", "int8", "uint8", "int64", "bool"]),
    )
    return st.one_of(
        boxes,
        st.builds(spaces.Discrete, st.integers(1, 5), start=st.integers(-3, 3)),
        st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 4), min_size=1, max_size=3)),
        st.builds(spaces.MultiBinary, st.integers(1, 4)),
    )


def nested(inner):
    names = st.text("abc.[]/ é", min_size=1, max_size=3)
    return st.one_of(
        st.dictionaries(names, inner, min_size=1, max_size=3).map(spaces.Dict),
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
    )


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.recursive(leaves(), nested, max_leaves=5), st.sampled_from(["sync", "stable"]))
def test_any_nest_of_spaces_is_learned_from_and_comes_back_from_disk(tmp_path_factory, space, kind):
    class Nested(Plain):
        observation_space = space

        def look(self):
            return space.sample()

    space.seed(0)
    stable_cannot = isinstance(space, spaces.Dict | spaces.Tuple)  # SB3's own buffers hold no nests
    env = DummyVecEnv([Nested]) if kind == "stable" and not stable_cannot else Nested()
    try:
        model = SequencePPO(MlpPolicy, env, n_steps=4, minibatches=1, n_epochs=1, seed=0)
    except OptionError:
        assert not any(np.prod(leaf.shape or (1,)) for leaf in boxes_in(space))  # every box of it is empty
        return
    model.learn(4)
    folder = tmp_path_factory.mktemp("nest")
    model.save(folder)
    obs = space.sample()
    wanted, _ = model.predict(obs, deterministic=True)
    got, _ = SequencePPO.load(folder, env=Nested()).predict(obs, deterministic=True)
    assert np.array_equal(wanted, got)


# --- numbers --------------------------------------------------------------------------------------------------------


class Broken(Plain):
    """Once, in its second episode, something is no number."""

    observation_space = spaces.Dict({"arm": spaces.Box(-1, 1, (3,), np.float32), "time": spaces.Discrete(9)})

    def __init__(self, where="arm", value=np.nan):
        self.where, self.value, self.episode, self.at = where, value, 0, (2, 3)

    def reset(self, *, seed=None, options=None):
        self.episode += 1
        return super().reset(seed=seed)

    def look(self):
        arm = np.array([0.1, 0.2, 0.3], np.float32)
        if self.where == "arm" and (self.episode, self.t) == self.at:
            arm[1] = self.value
        return {"arm": arm, "time": self.t}

    def step(self, action):
        obs, reward, over, cut, info = super().step(action)
        return (
            obs,
            self.value if self.where == "reward" and (self.episode, self.t) == self.at else reward,
            over,
            cut,
            info,
        )


def with_broken_third(where, value, at=(2, 3)):
    members = [Broken("nowhere") for _ in range(3)] + [Broken(where, value)]
    members[3].at = at
    return SyncVectorEnv([lambda m=m: m for m in members], autoreset_mode=SAME_STEP)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
@pytest.mark.parametrize(("where", "word"), [("arm", r"observation\['arm'\]\[1\]"), ("reward", "reward")])
def test_what_is_no_number_stops_the_training_and_says_where_it_came_from(where, word, value):
    model = SequencePPO(MlpPolicy, with_broken_third(where, value), **SMALL)
    before = {name: w.clone() for name, w in model.policy.state_dict().items()}
    with pytest.raises(ObservationError, match=rf"^{word} of environment 3 is .* after step \d"):
        model.learn(400)
    assert all(torch.equal(w, before[name]) for name, w in model.policy.state_dict().items())
    with pytest.raises(ObservationError, match="of environment 3"):
        evaluate(NetworkAgent(model.policy), with_broken_third(where, value), 12)


@pytest.mark.parametrize("where", ["arm", "reward"])
@pytest.mark.parametrize("at", [(2, 3), (2, 5), (3, 0)])
def test_or_the_steps_that_it_touches_are_left_out(where, at):
    model = SequencePPO(TransformerPolicy, with_broken_third(where, np.nan, at), bad_numbers="drop", **SMALL)
    model.learn(64)
    ignored = model.rollout_buffer.ignore
    assert not ignored[:3].any()
    left_out = {("arm", 5): 1, ("arm", 3): 2, ("arm", 0): 2, ("reward", 0): 0}.get((where, at[1]), 1)
    assert ignored[3].sum() == left_out
    assert all(torch.isfinite(w).all() for w in model.policy.parameters())
    assert torch.isfinite(model.rollout_buffer.obs).all()


def test_weights_that_would_no_longer_be_numbers_are_never_taken_over():
    model = SequencePPO(MlpPolicy, Plain(), learning_rate=1e30, **(SMALL | {"n_epochs": 20}))
    from embodied.errors import TrainingError

    with pytest.raises(TrainingError, match="lower the learning rate"):
        model.learn(400)


@pytest.mark.parametrize(
    ("unit", "offset"), [(1.0, 0.0), (1e-4, 0.0), (1e-9, 0.0), (1e6, 0.0), (1.0, 1e6), (1e-3, 1e3)]
)
def test_normalized_numbers_have_unit_spread_in_whatever_unit_they_come(unit, offset):
    rows = torch.as_tensor(np.random.default_rng(0).normal(offset, unit, (4000, 3)), dtype=torch.float32)
    rows[:, 2] = offset + 5 * unit  # never changes
    scale = RunningMeanStd(3)
    for part in rows.split(100):
        scale.update(part)
    scaled = scale(rows)
    assert scaled.dtype == torch.float32
    assert torch.allclose(scaled[:, :2].std(0), torch.ones(2), atol=0.03)
    assert scaled[:, :2].mean().abs() < 0.03
    assert scaled[:, 2].abs().max() < 0.1


def test_positions_are_exact_at_any_age_of_an_episode():
    torch.manual_seed(0)
    policy = TransformerPolicy(Plain.observation_space, Plain.action_space, context=8).eval()
    rows = torch.rand(20, 2)

    def outputs(age):
        memory = policy.initial(1)
        memory.core.age_N[:] = age
        with torch.inference_mode():
            return torch.cat([policy.step(row[None], torch.zeros(1, dtype=bool), memory)[0].features for row in rows])

    young = outputs(0)
    for age in (8_000, 1_000_000 * 8, 10**9 * 8):
        assert torch.allclose(outputs(age), young, atol=2e-5)


# --- the face of Stable-Baselines3 --------------------------------------------------------------------------------


def test_schedules_that_are_functions_are_followed():
    model = SequencePPO(
        MlpPolicy, Plain(), clip_range=lambda left: 0.1 + left, learning_rate=lambda left: left, **SMALL
    )
    assert model.clip_range(0.5) == 0.6
    model.learn(32)
    assert model.policy.optimizer.param_groups[0]["lr"] == 0.0 + (1 - 32 / 32)


def test_predicting_leaves_the_callers_state_as_it_is():
    model = SequencePPO(TransformerPolicy, Plain(), **SMALL)
    obs = np.zeros((1, 2), np.float32)
    _, state = model.predict(obs, deterministic=True)
    a, _ = model.predict(obs + 0.3, state, deterministic=True)
    model.predict(obs - 0.9, state, deterministic=True)
    b, _ = model.predict(obs + 0.3, state, deterministic=True)
    assert np.array_equal(a, b)
    assert state.core.age_N.tolist() == [1]


def test_another_environment_can_be_set_also_a_single_one():
    model = SequencePPO(MlpPolicy, Plain(), **SMALL)
    model.learn(16)
    other = Plain()
    model.set_env(other)
    model.learn(16)
    assert model.get_env().get_attr("t") == [other.t]
    with pytest.raises(OptionError, match="goes on with as many, not 2"):
        model.set_env(SyncVectorEnv([Plain] * 2))
    with pytest.raises(ValueError, match=r"[Ss]paces do not match"):
        model.set_env(Doors())


def test_members_are_asked_each_for_itself():
    members = [Plain(), Plain(), Plain()]
    env = GymVecEnv(SyncVectorEnv([lambda m=m: m for m in members], autoreset_mode=SAME_STEP))
    env.set_attr("t", 7, indices=[1])
    for i, member in enumerate(members):
        member.name = f"n{i}"
    assert env.get_attr("name") == ["n0", "n1", "n2"]
    assert env.get_attr("name", [2, 0]) == ["n2", "n0"]
    assert members[1].t == 7
    assert [one.tolist()[0] for one in env.env_method("look", indices=[1])] == [pytest.approx(1.4)]
    with pytest.raises(AttributeError):
        env.get_attr("nothing")
    assert not env.has_attr("nothing")


def test_parameters_can_be_taken_and_given(tmp_path):
    a, b = (SequencePPO(MlpPolicy, Plain(), **(SMALL | {"seed": seed})) for seed in (0, 2**32))
    a.learn(16)
    b.set_parameters(a.get_parameters())
    assert all(torch.equal(p, q) for p, q in zip(a.policy.parameters(), b.policy.parameters(), strict=True))
    a.save(tmp_path / "a")
    c = SequencePPO(MlpPolicy, Plain(), **SMALL)
    c.set_parameters(tmp_path / "a")
    assert all(torch.equal(p, q) for p, q in zip(a.policy.parameters(), c.policy.parameters(), strict=True))


def test_seeds_below_zero_are_refused_and_large_ones_are_not():
    with pytest.raises(OptionError, match="from 0 up, not -1"):
        SequencePPO(MlpPolicy, Plain(), **(SMALL | {"seed": -1}))
    SequencePPO(MlpPolicy, Plain(), **(SMALL | {"seed": 2**70})).learn(16)


@pytest.mark.parametrize("use_sde", [True, False])
def test_evaluating_in_between_does_not_change_the_training(use_sde):
    def trained(callback):
        model = SequencePPO(TransformerPolicy, SyncVectorEnv([Plain] * 2), use_sde=use_sde, **SMALL)
        model.learn(96, callback=callback)
        return model.policy.state_dict()

    plain = trained(None)
    for deterministic in (True, False):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            watched = trained(EvalCallback(Monitor(Plain()), eval_freq=20, deterministic=deterministic, verbose=0))
        assert all(torch.equal(w, watched[name]) for name, w in plain.items())


def test_checkpoints_have_no_zip_in_their_names_and_load_under_either(tmp_path):
    model = SequencePPO(MlpPolicy, Plain(), **SMALL)
    model.learn(32, callback=CheckpointCallback(16, str(tmp_path), "go"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["go_16_steps", "go_32_steps"]
    for name in ("go_32_steps", "go_32_steps.zip"):
        assert SequencePPO.load(tmp_path / name, env=Plain()).num_timesteps == 32


def test_what_cannot_be_made_again_is_asked_for_and_what_is_registered_is_made(tmp_path):
    model = SequencePPO(MlpPolicy, Plain(), **SMALL)
    model.save(tmp_path / "own")
    with pytest.raises(CheckpointError, match=r"trained on Plain, which cannot be made by its name: .*env="):
        SequencePPO.load(tmp_path / "own")
    model = SequencePPO(MlpPolicy, gym.make("CartPole-v1"), **SMALL)
    model.save(tmp_path / "known")
    assert SequencePPO.load(tmp_path / "known").env.gym_env.envs[0].spec.id == "CartPole-v1"


def test_the_statistics_of_vec_normalize_are_saved_with_the_model(tmp_path):
    def worlds():
        return VecNormalize(DummyVecEnv([Plain] * 2))

    model = SequencePPO(MlpPolicy, worlds(), **SMALL)
    model.learn(64)
    model.save(tmp_path)
    again = SequencePPO.load(tmp_path, env=worlds())
    a, b = model.get_vec_normalize_env(), again.get_vec_normalize_env()
    assert a is not b
    assert np.array_equal(a.obs_rms.mean, b.obs_rms.mean)
    assert (a.ret_rms.var, a.obs_rms.count) == (b.ret_rms.var, b.obs_rms.count)
    with pytest.raises(CheckpointError, match=r"trained with VecNormalize .* and this one is without"):
        SequencePPO.load(tmp_path, env=DummyVecEnv([Plain] * 2))


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_vector_wrappers_may_stand_around_the_environments(mode):
    around = NormalizeObservation if mode is AutoresetMode.NEXT_STEP else FlattenObservation
    env = around(gym.make_vec("CartPole-v1", 2, "sync", vector_kwargs={"autoreset_mode": mode}))
    model = SequencePPO(MlpPolicy, env, **SMALL)
    model.learn(64)
    assert all(one["r"] == one["l"] > 7 for one in model.ep_info_buffer)


class Reader(gym.Env):
    """A picture-less Dict, of which a part is text."""

    observation_space = spaces.Dict(
        {"text": spaces.Text(5), "number": spaces.Box(-1, 1, (2,)), "action_mask": spaces.MultiBinary(2)}
    )
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.look(), {}

    def step(self, action):
        assert action == 1
        return self.look(), 1.0, True, False, {}

    def look(self):
        return {"text": "abc", "number": np.zeros(2, np.float32), "action_mask": np.array([0, 1], np.int8)}


def test_of_a_dict_some_keys_are_observed_and_that_is_known_to_the_policy(tmp_path, monkeypatch):
    monkeypatch.setitem(gym.registry, "Reader-v0", gym.envs.registration.EnvSpec("Reader-v0", Reader))
    with pytest.raises(OptionError, match=r"observations of Text are not supported; .*leave 'text' out: --observe"):
        SequencePPO(MlpPolicy, "Reader-v0", **SMALL)
    with pytest.raises(UnknownNameError, match="part of an observation 'texts'; did you mean 'text'"):
        EnvSpec("Reader-v0", observe=("texts",)).make(2)
    model = SequencePPO(MlpPolicy, EnvSpec("Reader-v0", observe=("number",)).make(2), **SMALL)
    model.learn(32)
    model.save(tmp_path)
    again = SequencePPO.load(tmp_path)
    assert EnvSpec.of(again.env) == EnvSpec.of(model.env) == EnvSpec("Reader-v0", observe=("number",))
    assert [*again.observation_space] == ["action_mask", "number"]


def test_an_environment_without_a_time_limit_is_evaluated_up_to_the_longest_episode_and_others_to_their_own_end():
    class Endless(Plain):
        def step(self, action):
            return (*super().step(action)[:2], False, False, {})

    gym.register("Endless-v0", entry_point=Endless)
    for name, length in (("Endless-v0", 7), ("Pendulum-v1", None), ("embodied/Search-v0", None)):
        env = EnvSpec(name).make(2, longest=7)
        env.reset()
        zero = np.zeros((2, *env.action_space.shape), env.action_space.dtype)
        ends = [step(env, zero)[0].ended.any() for _ in range(8)]
        assert ends == [length is not None and t == length - 1 for t in range(8)]
        env.close()
    with pytest.raises(OptionError, match="at least one run, episode and step"):
        Evaluate((Path("runs"),), longest=0).run()
