"""What every environment of the suite promises, whatever its task."""

import math
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from conftest import equal, trace
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import embodied_envs
import embodied_policies.trained
from embodied.errors import OptionError, UnknownNameError
from embodied.evaluation.report import evaluate
from embodied.hidden import Discrete
from embodied.nn.policy import load_policy
from embodied.selfplay.agents import SeatedAgent
from embodied.vector.spec import EnvSpec
from embodied.vector.vec import as_vec_env
from embodied_envs import hide_seek, hide_seek_v1, sumo
from embodied_envs.scout import RIDE_HEIGHT
from embodied_policies.trained import trained_folder
from embodied_scripts.baselines import baselines, trained_player
from embodied_scripts.bench.beliefs import pose_coverage
from embodied_scripts.show.suite_pages import play_games

IDS = [f"embodied/{name}" for name in embodied_envs.TASKS]
SINGLE = [i for i in IDS if "HideSeek" not in i and "Sumo" not in i]
TABLETOP = ("embodied/Feel-v0", "embodied/Heft-v0", "embodied/Rummage-v0")
DUELS = {"embodied/HideSeek-v0": hide_seek, "embodied/HideSeek-v1": hide_seek_v1, "embodied/Sumo-v0": sumo}
EXTREMES = {
    "embodied/Signpost-v0": [{"places": "random", "decoys": 2, "occluders": 5}],
    "embodied/LightDark-v0": [{"tolerance": 0.05, "light_noise": 0.5}, {"tolerance": 0.6, "glimmer": 1.0}],
    "embodied/Search-v0": [{"objects": 2, "scatter": 0.0}, {"objects": 5, "scatter": 0.08, "reading_range": 1.2}],
    "embodied/Weigh-v0": [{"boxes": 5, "contrast": 1.5}, {"boxes": 4, "contrast": 5.0}],
    "embodied/Feel-v0": [{"places": 8, "scatter": 0.07, "action": "hand"}],
    "embodied/Heft-v0": [{"contrast": 8.0, "action": "targets", "camera": "rays"}],
    "embodied/Rummage-v0": [{"places": 5, "action": "hand", "camera": "rays"}],
    "embodied/HideSeek-v0": [{"screens": 9, "boxes": 4, "head_start_s": 0.0}, {"screens": 0, "boxes": 0, "seat": 1}],
    "embodied/HideSeek-v1": [{"screens": 5, "seat": "hider", "start": "facing"}],
    "embodied/Sumo-v0": [{"ring": 0.4, "view": 0.3}, {"ring": 0.9, "seat": "east", "opponent": "random"}],
}
VARIANTS = [(i, options) for i in IDS for options in ({}, *EXTREMES[i])]


def batch(env_id, n, mode="SameStep", **options):
    return gym.make_vec(env_id, num_envs=n, autoreset_mode=mode, **options)


def actions(env, steps, seed=0):
    shape = (steps, *env.action_space.shape)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("env_id", IDS)
def test_the_checkers_of_gymnasium_and_sb3_pass_without_a_warning(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*is out of date")  # that there is a newer version
        gymnasium_check_env(gym.make(env_id).unwrapped, skip_render_check=True)
        sb3_check_env(gym.make(env_id).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_threads_and_neighbors_change_no_bit(env_id):
    """A world on its own, and a batch on one thread, make what they make beside others on two."""
    opponent = {"opponent": "idle"} if env_id in DUELS else {}  # scripted opponents draw for all worlds at once
    env = batch(env_id, 5, threads=2, **opponent)
    commands = actions(env, 120)
    together = trace(env, commands)
    assert equal(together, trace(batch(env_id, 5, threads=1, **opponent), commands))
    assert equal([x[3:4] for x in together], trace(batch(env_id, 1, **opponent), commands[:, 3:4], seed=3 + 3))


@pytest.mark.parametrize(("env_id", "options"), VARIANTS)
def test_thousands_of_random_steps_stay_finite_and_in_bounds_and_no_sensor_is_constant(env_id, options):
    env = batch(env_id, 16 if env_id in TABLETOP else 64, **options)
    obs, _ = env.reset(seed=0)
    low, high = obs.copy(), obs.copy()
    for command in actions(env, 157):
        obs, reward, _, _, info = env.step(command)
        assert np.isfinite(obs).all()
        assert np.isfinite(reward).all()
        assert np.isfinite(info["state"]).all()
        assert env.observation_space.contains(obs)
        low, high = np.minimum(low, obs), np.maximum(high, obs)
    for channel in env.unwrapped.layout.channels:
        part = env.unwrapped.layout.slice(channel.name)
        assert (high[:, part] > low[:, part]).any(), channel.name


@pytest.mark.parametrize("env_id", IDS)
def test_time_limits_truncate_or_are_the_rule_and_never_both(env_id):
    env = batch(env_id, 16, episode_s=1.0, **({"head_start_s": 0.0} if "HideSeek" in env_id else {}))
    env.reset(seed=0)
    still = np.zeros(env.action_space.shape, np.float32)
    ended = np.zeros(16, bool)
    for step in range(10):
        _, _, terminated, truncated, _ = env.step(still)
        assert not (terminated & truncated).any()
        ended |= terminated | truncated
        assert step == 9 or "HideSeek" in env_id or "Sumo" in env_id or not ended.any()
    assert ended.all()


@pytest.mark.parametrize("env_id", IDS)
def test_priors_are_what_is_declared(env_id):
    env = batch(env_id, 1500)
    _, info = env.reset(seed=0)
    variables = env.unwrapped.hidden
    assert info["hidden"].shape == (1500, len(variables))
    for column, variable in zip(info["hidden"].T, variables, strict=True):
        if isinstance(variable, Discrete):
            shares = np.bincount(column.astype(int), minlength=len(variable.labels)) / 1500
            np.testing.assert_allclose(shares, variable.prior, atol=0.05)
        else:
            assert (column >= variable.low).all()
            assert (column <= variable.high).all()


HIDING = {
    "embodied/Search-v0": "target_place",
    "embodied/Weigh-v0": "heaviest",
    "embodied/Feel-v0": "place",
    "embodied/Heft-v0": "heavy",
    "embodied/Rummage-v0": "place",
}


@pytest.mark.parametrize("env_id", HIDING)
def test_worlds_that_differ_only_in_what_is_hidden_look_the_same_until_it_is_looked_for(env_id):
    """The same seed with another hidden choice: everything observed at rest is equal.

    Bit by bit, but where one solver moves robot and boxes: there rounding crosses from one to the other.
    """
    env = batch(env_id, 32, "Disabled")
    first, info = env.reset(seed=0)
    task = env.unwrapped.task
    name = HIDING[env_id]
    other = batch(env_id, 32, "Disabled")
    choose = type(task).begin

    def elsewhere(self, worlds, draw):
        class Swapped:
            def __getattr__(_, attribute):
                return getattr(draw, attribute)

            def choice(_, asked, prior):
                picked = draw.choice(asked, prior)
                return (picked + 1) % len(prior) if asked == name else picked

        choose(self, worlds, Swapped())

    other.unwrapped.task.begin = elsewhere.__get__(other.unwrapped.task)
    second, later = other.reset(seed=0)
    assert (info["hidden"] != later["hidden"]).all()
    assert np.array_equal(first, second)
    still = np.zeros(env.action_space.shape, np.float32)
    for _ in range(5):
        a, *_ = env.step(still)
        b, *_ = other.step(still)
        np.testing.assert_allclose(a, b, atol=0.0 if "Search" in env_id else 0.02)


def test_in_the_dark_nothing_of_the_pose_is_seen_and_in_the_light_all_of_it():
    env = batch("embodied/LightDark-v0", 64, "Disabled", glimmer=0.0)
    obs, _ = env.reset(seed=0)
    valid = env.unwrapped.layout.slice("ring/valid")
    assert obs[:, valid].sum() == 0
    forward = np.tile(np.float32([0.8, 0.8, 0]), (64, 1))
    for _ in range(42):
        obs, *_ = env.step(forward)
    lit = env.unwrapped.task.light() > 0.99
    assert lit.sum() > 30
    assert obs[lit][:, valid].mean() > 0.95


def test_a_frame_is_as_dark_as_it_was_when_it_was_captured():
    """Frames arrive a decision late: what happens to the light in between does not change them."""
    env, changed = (batch("embodied/LightDark-v0", 32, "Disabled", glimmer=1.0) for _ in range(2))
    valid, ranges = (env.unwrapped.layout.slice(f"ring/{what}") for what in ("valid", "range"))
    still = np.zeros(env.action_space.shape, np.float32)
    changed.unwrapped.task.before_observation = _darkness_falls(changed.unwrapped.task, at_call=3)
    for one in (env, changed):
        one.reset(seed=3)
    same, other = ([one.step(still)[0] for _ in range(4)] for one in (env, changed))
    np.testing.assert_array_equal(same[1][:, ranges], other[1][:, ranges])  # darkness has fallen, the frame has not
    assert same[3][:, valid].mean() > 0.9
    assert other[3][:, valid].mean() < 0.1


def _darkness_falls(task, at_call):
    calls, before = [0], task.before_observation

    def before_observation():
        before()
        calls[0] += 1
        if calls[0] >= at_call:
            task._dropout[:] = 0.99

    return before_observation


@pytest.mark.slow
def test_the_particle_filter_of_the_pose_knows_how_well_it_knows():
    inside, at_end = pose_coverage(32)
    assert 0.87 < inside < 0.96
    assert at_end > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("env_id", SINGLE)
def test_blind_curious_and_oracle_score_in_that_order(env_id):
    worlds, episodes = (32, 32) if env_id in TABLETOP else (64, 128)  # contacts are slow
    env = as_vec_env(env_id, worlds)
    players = baselines(env)
    blind, heuristic, oracle = (
        evaluate(players[name], env, episodes) for name in ("uninformed", "heuristic", "oracle")
    )
    margin = 2 * (heuristic.reward_error + max(blind.reward_error, oracle.reward_error))
    assert oracle.success >= 0.95
    assert blind.reward + margin < heuristic.reward <= oracle.reward
    assert oracle.reward - blind.reward >= 0.4 * 1.5  # of the range of scores, from −0.5 to 1


@pytest.mark.parametrize("env_id", DUELS)
def test_pettingzoo_finds_nothing_wrong_with_the_duels(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(DUELS[env_id].parallel_env(), num_cycles=200)
        parallel_seed_test(DUELS[env_id].parallel_env, num_cycles=50)


@pytest.mark.parametrize("env_id", DUELS)
def test_what_one_wins_the_other_loses_and_both_faces_tell_the_same_game(env_id):
    game = DUELS[env_id].parallel_env()
    obs, _ = game.reset(seed=7)
    first, second = game.possible_agents
    faces = [batch(env_id, 1, "Disabled", seat=seat, opponent=Echo()) for seat in (0, 1)]
    seen = [face.reset(seed=7)[0] for face in faces]
    assert np.array_equal(seen[0][0], obs[first])
    assert np.array_equal(seen[1][0], obs[second])
    rng = np.random.default_rng(0)
    while game.agents:
        a, b = rng.uniform(-1, 1, (2, 3)).astype(np.float32)
        obs, reward, *_ = game.step({first: a, second: b})
        assert reward[first] == -reward[second]
        for face, mine, other, name in ((faces[0], a, b, first), (faces[1], b, a, second)):
            face.unwrapped.opponent.next = other[None]
            own, earned, *_ = face.step(mine[None])
            assert np.array_equal(own[0], obs[name])
            assert earned[0] == reward[name]


class Echo:
    """An opponent that does what it is told."""

    next = None

    def initial(self, n, seed):
        return None

    def act(self, carry, obs, first):
        return None, self.next


@pytest.mark.parametrize(("env_id", "seat"), [(i, seat) for i in DUELS for seat in (0, 1)])
def test_scripted_opponents_beat_random_players(env_id, seat):
    _, results = play_games(env_id, seat, "random", 32)
    share = 0.45 if (env_id, seat) == ("embodied/HideSeek-v1", 0) else 0.8  # in a maze, whoever moves is hard to find
    assert (results > 0).mean() >= share - 2 * (0.8 * 0.2 / 32) ** 0.5


def test_in_the_second_hide_and_seek_scripted_players_are_evenly_matched():
    _, results = play_games("embodied/HideSeek-v1", 0, "scripted", 32)
    assert 0.25 < (results > 0).mean() < 0.85


def test_in_the_second_hide_and_seek_a_beginner_who_hides_imitates_nobody_who_stands_still():
    env = batch("embodied/HideSeek-v1", 4, seat="hider")
    obs, _ = env.reset(seed=0)
    expert = env.unwrapped.task.expert(env.unwrapped.mine)
    moved = expert.act(expert.initial(4, 0), obs, np.ones(4, bool))[1]
    assert moved.shape == (4, 3)
    assert moved.any(axis=1).all()


def test_in_the_second_hide_and_seek_both_begin_anywhere_at_opposite_ends_looking_anywhere():
    env = batch("embodied/HideSeek-v1", 64)
    env.reset(seed=0)
    seeker, hider = env.unwrapped.duel.env.bodies
    assert (seeker.xy[:, 0] * hider.xy[:, 0] < 0).all()
    for body in (seeker, hider):
        assert 0.3 < (body.xy[:, 0] > 0).mean() < 0.7
        assert np.ptp(body.xy[:, 1]) > 1.0
        assert abs(np.exp(1j * body.heading).mean()) < 0.4
    assert abs(np.corrcoef(seeker.xy[:, 1], hider.xy[:, 1])[0, 1]) < 0.5


def test_a_robot_that_is_known_by_all_of_it_is_known_where_its_crown_is_passed_under():
    known = {}
    for known_by in ("crown", "robot"):
        env = batch("embodied/HideSeek-v1", 2, seat="hider", opponent="idle", screens=0, boxes=0, known_by=known_by)
        env.reset(seed=0)
        seeker, hider = env.unwrapped.duel.env.bodies
        both = np.arange(2)
        seeker.place(both, np.tile([-0.5, 0.1], (2, 1)), np.zeros(2), RIDE_HEIGHT)
        hider.place(both, np.array([[0.4, 0.1], [0.4, 0.1]]), np.array([math.pi, 0.0]), RIDE_HEIGHT)
        for _ in range(6):
            obs = env.step(np.zeros((2, 3), np.float32))[0]
        seen = obs[:, env.unwrapped.layout.slice("camera/class")].reshape(2, -1, 3)[..., 2]
        known[known_by] = seen.any(axis=1).tolist()
    assert known == {"crown": [False, False], "robot": [True, False]}  # it stands leaning on its front caster


def test_in_sumo_neither_seat_is_the_better_one():
    _, results = play_games("embodied/Sumo-v0", 0, "scripted", 128)
    wins, losses = (results > 0).sum(), (results < 0).sum()
    assert wins + losses > 50
    assert abs(wins - losses) < 3 * (wins + losses) ** 0.5


def test_the_learner_against_an_opponent_learns_from_its_own_seat_only():
    env = batch("embodied/HideSeek-v0", 4, seat="hider")
    _, info = env.reset(seed=0)
    hidden = [variable.name for variable in env.unwrapped.hidden]
    assert hidden == ["seeker x", "seeker y"]
    assert info["hidden"].shape == (4, 2)
    seeker = batch("embodied/HideSeek-v0", 4, seat="seeker")
    assert np.allclose(seeker.reset(seed=0)[1]["shaping"], -info["shaping"])


@pytest.mark.parametrize(
    ("env_id", "options", "error", "words"),
    [
        ("embodied/LightDark-v0", {"tolerance": 3.0}, OptionError, "tolerance"),
        ("embodied/Search-v0", {"objects": 9}, OptionError, "objects"),
        ("embodied/Weigh-v0", {"boxs": 3}, UnknownNameError, "boxes"),
        ("embodied/Sumo-v0", {"seat": "north"}, UnknownNameError, "west"),
        ("embodied/HideSeek-v0", {"opponent": "clever"}, UnknownNameError, "scripted"),
        ("embodied/HideSeek-v1", {"known_by": "smell"}, UnknownNameError, "crown"),
        ("embodied/HideSeek-v1", {"start": "near"}, UnknownNameError, "alike"),
    ],
)
def test_wrong_options_name_what_there_is(env_id, options, error, words):
    with pytest.raises(error, match=words):
        gym.make(env_id, **options)


@pytest.mark.parametrize("env_id", ["embodied/Rummage-v0", "embodied/Sumo-v0"])
def test_a_window_shows_people_what_the_picture_has(env_id, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with pytest.warns(match="HumanRendering"):
        env = gym.make(env_id, render_mode="human")
    env.reset(seed=0)
    env.step(np.zeros(env.action_space.shape, np.float32))
    picture = env.unwrapped.render()
    assert env.screen_size == picture.shape[1::-1]
    assert np.ptp(picture) > 50
    env.close()


def test_opponents_do_not_repeat_themselves_from_episode_to_episode():
    env = gym.make("embodied/Sumo-v0", opponent="random").unwrapped
    opponent, played = env.batch_env.opponent, []
    act = opponent.act
    opponent.act = lambda carry, obs, first: played.append(act(carry, obs, first)) or played[-1]
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.zeros(3, np.float32))
        env.reset()
    assert not np.array_equal(played[0][1], played[1][1])


@pytest.mark.parametrize("name", ["Sumo-v0", "HideSeek-v0"])
def test_the_policies_that_are_shipped_fit_their_duel_and_have_a_card(name):
    folder = trained_folder(name)
    assert folder is not None
    assert name in (folder / "README.md").read_text()
    policy = load_policy(folder)
    env = gym.make_vec(f"embodied/{name}", num_envs=2, opponent=SeatedAgent(policy, 1))
    agent = SeatedAgent(policy, 0)
    obs, _ = env.reset(seed=0)
    carry = agent.initial(2, 0)
    for t in range(5):
        carry, action = agent.act(carry, obs, np.full(2, t == 0))
        obs, reward, *_ = env.step(action)
        assert np.isfinite(reward).all()


@pytest.mark.parametrize("name", ["Heft-v0", "Rummage-v0", "Feel-v0", "Signpost-v0", "Weigh-v0"])
def test_the_policies_that_are_shipped_do_their_task_and_have_a_card(name):
    env = as_vec_env(f"embodied/{name}", 12)
    policy = trained_player(f"embodied/{name}", env)["trained"]
    assert evaluate(policy, env, 12, seed=3).success >= 0.75
    assert f"embodied train {name}" in (trained_folder(name) / "README.md").read_text()
    if name == "Weigh-v0":
        assert not trained_player("embodied/Weigh-v0", EnvSpec("embodied/Weigh-v0", {"boxes": 4}).make(1))
    if name not in ("Signpost-v0", "Weigh-v0"):  # which see and do the same whatever their options
        differing = EnvSpec(f"embodied/{name}", {"action": "hand"}).make(1)
        assert not trained_player(f"embodied/{name}", as_vec_env(differing))


def test_all_weights_that_are_shipped_are_less_than_five_megabytes():
    weights = list(Path(embodied_policies.trained.__file__).parent.rglob("*.safetensors"))
    assert weights
    assert sum(file.stat().st_size for file in weights) < 5e6
