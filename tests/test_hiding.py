"""Hiders that are told more than a robot sees: how well one could hide at all."""

import math

import numpy as np
import pytest

from embodied.errors import OptionError
from embodied.learn.evaluate import evaluate
from embodied.learn.vec import GymVecEnv, make_vec
from embodied_envs.hide_seek import HALF_X, HALF_Y
from embodied_policies.scripted.evader import Evader
from embodied_policies.scripted.ways import CLEARANCE, GRID, Plans
from embodied_scripts.hiding import HideLeague, scene_of

ROOM = (HALF_X, HALF_Y)
SCREEN = np.array([[[0.15, 0.0, 0.0]]])  # its face looks along x


def worlds(n=4):
    env = GymVecEnv(make_vec("embodied/HideSeek-v0", n, seat="hider"))
    env.seed(0)
    return env, env.reset()


def evader(env, **how):
    return Evader(env.gym_env.unwrapped.layout, ROOM, lambda: scene_of(env), **how)


def test_in_an_empty_room_ways_are_straight_and_diagonal_steps():
    plans = Plans(ROOM)
    plans.number(np.zeros((1, 0, 3)))
    steps = np.sort(np.abs(plans.cells[:, None] - plans.cells), axis=2) / GRID
    octile = GRID * (steps[..., 1] + (math.sqrt(2) - 1) * steps[..., 0])
    assert np.allclose(plans.ways.distance[0], octile, atol=1e-4)
    assert not plans.ways.screened.any()


def test_ways_lead_around_a_screen_and_sight_ends_at_it():
    plans = Plans(ROOM)
    plans.number(SCREEN)
    here, there, beside = plans.cell(np.array([[-0.15, 0.0], [0.45, 0.0], [-0.15, 0.6]]))
    ways = plans.ways
    assert ways.screened[0, here, there]
    assert not ways.screened[0, here, beside]
    assert ways.distance[0, here, there] > 0.6 + GRID
    assert ways.distance[0, here, beside] == pytest.approx(0.6)
    assert np.array_equal(ways.distance[0], ways.distance[0].T)


def test_nobody_stands_in_a_screen_but_is_taken_to_be_beside_it_on_its_own_side():
    plans = Plans(ROOM)
    plans.number(SCREEN)
    entry = plans.cells[plans.ways.entry[0, plans.cell(np.array([[0.1, 0.0]]))[0]]]
    assert abs(entry[0] - 0.15) > CLEARANCE or abs(entry[1]) > 0.2


def test_the_same_screens_are_one_arrangement():
    plans = Plans(ROOM)
    assert plans.number(np.concatenate([SCREEN, -SCREEN, SCREEN])).tolist() == [0, 1, 0]


def test_what_an_evader_believes_is_a_distribution_and_sure_at_first():
    env, obs = worlds()
    agent = evader(env, sees="camera")
    carry, first = agent.initial(4, 0), np.ones(4, bool)
    widths = []
    for _ in range(40):
        carry, action = agent.act(carry, obs, first)
        assert np.allclose(carry.belief.sum(axis=(1, 2)), 1)
        assert (np.abs(action) <= 1).all()
        widths.append((carry.belief > 0).sum(axis=(1, 2)))
        env.step_async(action)
        obs, *_ = env.step_wait()
        first = np.zeros(4, bool)
    assert (widths[0] == 1).all()
    assert (widths[-1] > 1).all()


def test_who_is_told_where_the_seeker_is_hides_far_better_than_the_scripted_hider():
    env, _ = worlds(32)
    vec = env.gym_env.unwrapped
    told = evaluate(evader(env), env, 32, 5_000).success
    scripted = evaluate(vec.task.scripted(vec.mine), env, 32, 5_000).success
    assert told > 0.7
    assert scripted < 0.4


def test_a_beginners_teacher_moves_where_the_scripted_hider_stands_and_waits():
    env, obs = worlds()
    vec = env.gym_env.unwrapped
    unseen = obs.copy()
    unseen[:, vec.layout.slice("camera/class")] = 0
    moves = [
        player.act(player.initial(4, 0), unseen, np.ones(4, bool))[1][:, :2]
        for player in (vec.task.scripted(vec.mine), vec.task.teacher(vec.mine))
    ]
    assert not moves[0].any()
    assert moves[1].any(axis=1).all()


def test_hiders_are_compared_in_a_table(capsys):
    HideLeague(games=4).run()
    said = capsys.readouterr().out
    assert all(name in said for name in ("trained", "scripted", "told where", "its camera"))
    with pytest.raises(OptionError, match="two games"):
        HideLeague(games=1).run()
