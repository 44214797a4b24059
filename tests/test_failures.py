"""An episode whose physics failed is void: for learners, evaluation and leagues, in every autoreset mode."""

import warnings

import gymnasium as gym
import mujoco.batch
import numpy as np
import pytest

import embodied_envs  # noqa: F401
from embodied.errors import ModelError, WorldFailureWarning
from embodied.evaluation.agents import RandomAgent
from embodied.evaluation.report import evaluate
from embodied.selfplay.arena import Arena
from embodied.selfplay.games import DuelGames, PettingZooGames
from embodied.selfplay.tournament import play
from embodied.vector.vec import GymVecEnv, as_vec_env, make_vec, step
from embodied.world.duel import Duel
from embodied_envs.sumo import Sumo, SumoOptions, parallel_env
from embodied_scripts.ids import own_ids

SIGNPOST = "embodied/Signpost-v0"
MODES = ["SameStep", "NextStep", "Disabled"]


def diverge(env, worlds) -> None:
    """Lets the physics of some worlds fail at the next step."""
    env.unwrapped.batch.array("qvel")[worlds, 2] = np.inf


@pytest.fixture(autouse=True)
def _failures_are_meant():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WorldFailureWarning)
        yield


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_step_is_void_and_teaches_nothing_in_every_autoreset_mode(mode):
    vec = GymVecEnv(gym.make_vec(SIGNPOST, num_envs=3, autoreset_mode=mode))
    vec.seed(0)
    vec.reset()
    diverge(vec.gym_env, [1])
    experience, infos = step(vec, np.zeros((3, 3)))
    assert experience.void.tolist() == experience.ignore.tolist() == [False, True, False]
    assert experience.ended.tolist() == [False, True, False]
    assert infos[1]["TimeLimit.truncated"]
    experience, _ = step(vec, np.zeros((3, 3)))
    assert not experience.void.any()
    assert experience.ignore.tolist() == [False, mode == "NextStep", False]


class Sabotage(RandomAgent):
    """Acts at random, and lets physics fail in world 0 at some decisions."""

    def __init__(self, vec, decisions) -> None:
        super().__init__(vec.action_space)
        self._env, self._decisions, self._count = vec.gym_env, set(decisions), 0

    def act(self, carry, obs, first):
        if self._count in self._decisions:
            diverge(self._env, [0])
        self._count += 1
        return super().act(carry, obs, first)


@pytest.mark.parametrize("mode", MODES)
def test_evaluation_counts_no_failed_episode_and_says_how_many_there_were(mode):
    vec = GymVecEnv(gym.make_vec(SIGNPOST, num_envs=2, autoreset_mode=mode, episode_s=1.0))
    report = evaluate(Sabotage(vec, [3, 14]), vec, episodes=4)
    assert (report.episodes, report.void) == (4, 2)
    assert report.length_s == pytest.approx(1.0)


def test_a_world_that_fails_again_and_again_is_given_up():
    vec = as_vec_env(SIGNPOST, 1)
    with pytest.raises(ModelError, match="world 0 failed in 50 episodes"):
        evaluate(Sabotage(vec, range(100)), vec, episodes=1)


def test_other_environments_may_call_anything_failed():
    class Foreign(gym.Env):
        observation_space = action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

        def reset(self, *, seed=None, options=None):
            return np.zeros(1, np.float32), {}

        def step(self, action):
            return np.zeros(1, np.float32), 1.0, True, False, {"failed": True}

    experience, _ = step(as_vec_env(Foreign()), np.zeros((1, 1), np.float32))
    assert not experience.ignore.any()
    assert not experience.void.any()


def test_a_game_whose_physics_failed_is_void_not_a_draw():
    games = DuelGames(Duel(Sumo(SumoOptions(episode_s=2.0)), 4, 1, "Disabled"))
    arena = Arena(games, (4,))
    arena.seat(0, RandomAgent(games.action_space), 0)
    arena.reset(seed=0)
    diverge(games.duel.env, [2])
    _, _, _, truncated, info = arena.step(np.zeros((4, *games.action_space.shape)))
    assert truncated.tolist() == info["failed"].tolist() == [False, False, True, False]
    assert arena.take_results() == []


def test_a_tournament_plays_another_game_in_place_of_a_void_one():
    games = DuelGames(Duel(Sumo(SumoOptions(episode_s=2.0)), 2, 1, "Disabled"))
    original, calls = games.step, []

    def once_broken(actions, which):
        calls.append(None)
        if len(calls) == 5:
            diverge(games.duel.env, [0])
        return original(actions, which)

    games.step = once_broken
    scores, _ = play(games, RandomAgent(games.action_space), [RandomAgent(games.action_space)], rounds=1, seed=0)
    assert scores.shape == (1, 4)
    assert set(scores.ravel()) <= {0.0, 0.5, 1.0}


def test_a_duel_of_this_project_is_void_through_pettingzoo_too():
    games = PettingZooGames(parallel_env, 2)
    games.reset(0, np.ones(2, bool))
    diverge(games._boards[1]._env.duel.env, [0])
    still = np.zeros((2, *games.action_space.shape))
    assert games.step((still, still), np.ones(2, bool)).void.tolist() == [False, True]


BREAKABLE = sorted({*mujoco.batch.MODEL_FIELDS})
BROKEN_STATE = ("qpos", "qvel", "ctrl", "act", "qfrc_applied", "xfrc_applied", "mocap_pos")


def told(env, commands, do_break) -> tuple[list[np.ndarray], np.ndarray]:
    """What a batch of three tells over a few steps, after something was broken, and whose physics failed."""
    out = list(env.reset(seed=0)[:1])
    do_break()
    failed = np.zeros(3, bool)
    for command in commands:
        obs, reward, terminated, truncated, info = env.step(command)
        failed |= info.get("final_info", info)["failed"]
        out += [obs, reward, terminated, truncated, *(info[key] for key in ("hidden", "state", "shaping"))]
    return out, failed


@pytest.mark.slow
@pytest.mark.parametrize("name", own_ids())
def test_whatever_breaks_in_one_world_is_void_and_finite_and_the_others_are_the_same_bits(name):
    env = make_vec(name, 3, threads=1)
    batch = env.unwrapped.batch
    commands = np.random.default_rng(0).uniform(-1, 1, (2, *env.action_space.shape))
    sane, _ = told(env, commands, lambda: None)
    fields = {field: batch.field(field) for field in BREAKABLE}
    fields = {field: array for field, array in fields.items() if array.dtype.kind == "f" and array[1].size}
    states = {field: batch.array(field) for field in BROKEN_STATE}
    voided = 0
    for field, array in (fields | {field: array for field, array in states.items() if array.size}).items():
        for value in (np.nan, 1e300):
            before = array[1].copy()
            out, failed = told(env, commands, lambda array=array, value=value: array.__setitem__(1, value))
            array[1] = before
            assert all(np.isfinite(part).all() for part in out), field
            assert not failed[[0, 2]].any(), field
            assert all(np.array_equal(a[[0, 2]], b[[0, 2]]) for a, b in zip(out, sane, strict=True)), field
            voided += failed[1]
    assert voided > 20
