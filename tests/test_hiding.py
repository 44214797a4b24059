"""Hiders that are told more than a robot sees: how well one could hide at all."""

import math

import numpy as np
import pytest

from embodied.errors import OptionError
from embodied.evaluation.report import evaluate
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_envs.hide_seek import HALF_X, HALF_Y
from embodied_envs.scout import RIDE_HEIGHT
from embodied_policies.scripted.evader import Evader
from embodied_policies.scripted.ways import CLEARANCE, GRID, Plans
from embodied_scripts.studies.hide import HideLeague, scene_of

ROOM = (HALF_X, HALF_Y)
SCREEN = np.array([[[0.15, 0.0, 0.0]]])  # its face looks along x


def worlds(n=4):
    env = GymVecEnv(make_vec("embodied/HideSeek-v0", n, seat="hider"))
    env.seed(0)
    return env, env.reset()


def evader(env, sees="everything"):
    return Evader(env.gym_env.unwrapped.layout, Plans(ROOM), lambda: scene_of(env), sees)


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


@pytest.mark.parametrize(("screen", "x"), [(0.1, 0.0), (0.2, 0.3)])
def test_who_is_too_near_to_a_screen_is_taken_to_be_beside_it_on_the_same_side(screen, x):
    plans = Plans(ROOM)
    plans.number(np.array([[[screen, 0.0, 0.0]]]))
    cell = plans.cell(np.array([[x, 0.0]]))[0]
    entry = plans.cells[plans.ways.entry[0, cell]]
    assert abs(entry[0] - screen) > CLEARANCE
    assert np.sign(entry[0] - screen) == np.sign(x - screen)


def test_the_same_screens_are_one_arrangement_in_any_order():
    two = np.concatenate([SCREEN, -SCREEN + 0.8], axis=1)
    plans = Plans(ROOM)
    assert plans.number(np.concatenate([two, two + 0.1, two[:, ::-1]])).tolist() == [0, 1, 0]


def test_what_an_evader_believes_is_sure_at_first_and_then_better_than_chance():
    env, obs = worlds(16)
    agent = evader(env, "camera")
    carry, first = agent.initial(16, 0), np.ones(16, bool)
    sure, known = [], []
    for _ in range(55):  # before anybody is caught
        carry, action = agent.act(carry, obs, first)
        place = carry.belief.sum(axis=1)
        assert np.allclose(place.sum(axis=1), 1)
        ways, plans = agent._plans.ways, agent._plans
        free = np.isfinite(np.einsum("npp->np", ways.distance[carry.room]))
        assert not place[~free].any()
        truth = ways.entry[carry.room, plans.cell(scene_of(env).other[:, :2])]
        known.append(np.log(place[np.arange(16), truth] + 1e-6).mean())
        sure.append((place > 0.99).any(axis=1).mean())
        env.step_async(action)
        obs, *_ = env.step_wait()
        first = np.zeros(16, bool)
    assert sure[0] == 1
    assert sure[-1] < 0.5
    assert np.mean(known[30:]) > -np.log(len(agent._plans.cells)) + 0.5


def test_in_belief_the_other_is_as_fast_along_a_diagonal_as_along_an_axis():
    env, _ = worlds(1)
    agent = evader(env, "camera")
    agent._plans.number(np.zeros((1, 0, 3)))
    middle = agent._plans.cell(np.zeros((1, 2)))[0]
    for heading in range(8):
        belief = np.zeros((1, 8, len(agent._plans.cells)))
        belief[0, heading, middle] = 1
        place = agent._moved(belief, agent._plans.ways.distance, np.zeros(1, int), np.zeros(1, bool)).sum(axis=1)[0]
        assert np.linalg.norm(place @ agent._plans.cells) == pytest.approx(0.07)


def test_either_robot_has_the_other_in_sight_where_it_looks_at_it():
    env = make_vec("embodied/HideSeek-v0", 2, seat="hider", opponent="idle", screens=0, boxes=0)
    env.reset(seed=0)
    seeker, hider = env.unwrapped.duel.env.bodies
    both = np.arange(2)
    seeker.place(both, np.array([[-0.5, 0.0], [-0.5, 0.0]]), np.zeros(2), RIDE_HEIGHT)
    hider.place(both, np.array([[0.5, 0.0], [0.5, 0.0]]), np.array([math.pi, 0.0]), RIDE_HEIGHT)
    env.step(np.zeros((2, 3), np.float32))
    assert env.unwrapped.task.in_sight(0).tolist() == [True, True]
    assert env.unwrapped.task.in_sight(1).tolist() == [True, False]


def test_who_is_told_where_the_seeker_is_hides_far_better_than_the_scripted_hider():
    env, _ = worlds(32)
    vec = env.gym_env.unwrapped
    privileged = evaluate(evader(env), env, 32, 5_000).success
    scripted = evaluate(vec.task.scripted(vec.mine), env, 32, 5_000).success
    assert privileged > 0.7
    assert scripted < 0.4


def test_a_beginners_teacher_moves_where_the_scripted_hider_stands_and_waits():
    env, obs = worlds()
    vec = env.gym_env.unwrapped
    unseen = obs.copy()
    unseen[:, vec.layout.slice("camera/class")] = 0
    moves = [
        player.act(player.initial(4, 0), unseen, np.ones(4, bool))[1][:, :2]
        for player in (vec.task.scripted(vec.mine), vec.task.expert(vec.mine))
    ]
    assert not moves[0].any()
    assert moves[1].any(axis=1).all()


@pytest.mark.slow
def test_hiders_are_compared_in_a_table(capsys):
    HideLeague(games=4).run()
    said = capsys.readouterr().out
    assert all(name in said for name in ("trained", "scripted", "knows where", "its camera", "recognized it"))
    with pytest.raises(OptionError, match="two games"):
        HideLeague(games=1).run()
