"""Rummage: blocks under covers, what the wrist's line camera tells of them, and who looks for the wanted one."""

import numpy as np
import pytest

from embodied.randomization.spec import Randomization
from embodied.vector.spec import EnvSpec
from embodied.world.env import BatchEnv
from embodied_envs.rummage import AJAR, COVER, HALF, HIGH, Rummage, RummageOptions
from embodied_scripts.baselines import arm_driver, option_agent


def made(n, places=3):
    env = BatchEnv(Rummage(RummageOptions(places=places)), n, randomize=Randomization())
    env.reset(seed=4)
    return env


def test_the_wanted_block_lies_where_it_is_said_to_and_the_others_where_it_does_not():
    env = made(64, places=4)
    place = env.task.truth()[:, 0].astype(int)
    blocks, covers = env.task._blocks.places, env.task._covers.places
    around = np.arctan2(-blocks[..., 1], blocks[..., 0] - 0.0388)
    assert np.abs(around[:, 0] - env.task.places[place]).max() < 0.04
    assert np.abs(np.sort(around, axis=1) - env.task.places).max() < 0.04
    assert np.allclose(np.sort(blocks[..., :2], axis=1), np.sort(covers[..., :2], axis=1))
    assert np.allclose(covers[..., 2], 2 * HALF + COVER[2])


def test_another_hidden_place_changes_which_block_lies_there_and_nothing_else():
    env = made(48, places=4)
    before = env.task._blocks.places.copy()
    elsewhere = (env.task.truth() + np.arange(48)[:, None] % 4) % 4
    env.task.set_hidden(elsewhere)
    after = env.task._blocks.places
    assert (env.task.truth() == elsewhere).all()
    around = np.arctan2(-after[:, 0, 1], after[:, 0, 0] - 0.0388)
    assert np.abs(around - env.task.places[elsewhere[:, 0].astype(int)]).max() < 0.04
    assert np.array_equal(np.sort(before, axis=1), np.sort(after, axis=1))


def test_a_cover_hides_its_block_from_above_and_what_is_bare_is_seen_where_it_lies():
    env = made(16)
    task, driver = env.task, arm_driver(env.task)

    def seen_from_above(angle):
        for _ in range(25):
            env.step(driver.drive(env.last_obs, np.tile(task.pose(angle, HIGH, AJAR, beside=0.0), (16, 1))))
        return task.sightings(env.last_obs), task.sightings(env.last_obs, "other")

    wanted, other = seen_from_above(-0.09)  # the camera looks at what is just ahead of the hand
    assert not wanted.any()
    assert not other.any()
    task._covers.put(np.arange(16), np.tile([0.1, 0.3, COVER[2]], (16, 3, 1)) + np.eye(3), np.zeros((16, 3)))
    wanted, other = seen_from_above(-0.09)
    middle = task.truth()[:, 0] == 1
    assert (wanted[middle, 1] >= 2).all()
    assert (other[~middle, 1] >= 2).all()
    assert not wanted[:, [0, 2]].any()
    likelihood = task.log_likelihood(env.last_obs)
    assert (likelihood[middle].argmax(axis=1) == 1).all()
    assert (likelihood[middle][:, [0, 2]] < -3).all()
    assert (likelihood[~middle, 1] < -3).all()


@pytest.mark.parametrize(
    ("task", "first", "then"),
    [("Feel", "feel left", "press {}"), ("Heft", "weigh 1", "bring {}"), ("Rummage", "uncover 1", "lift {}")],
)
def test_what_can_be_planned_with_finds_out_first_and_ends_it_with_the_right_choice(task, first, then):
    env = EnvSpec(f"embodied/{task}-v0").make(8).gym_env
    agent = option_agent(f"embodied/{task}-v0", env.task)
    names = list(agent.options)
    obs, info = env.reset(seed=2)
    hidden = info["hidden"][:, 0].astype(int)
    carry, succeeded = agent.initial(8, 0), np.zeros(8, bool)
    evidence, begun = np.zeros((8, len(env.task.hidden[0].labels))), np.ones(8, bool)
    for chosen, seconds in ((first, agent.options[first]), (then, 9.0)):
        carry = agent.set_option(carry, np.array([names.index(chosen.format(h)) for h in hidden]))
        for _ in range(int(seconds * 10)):
            carry, action = agent.act(carry, obs, begun)
            obs, reward, terminated, *_ = env.step(action)
            begun = np.zeros(8, bool)
            evidence += env.evidence(obs) * ~succeeded[:, None]
            succeeded |= terminated & (reward > 0.5)
        if chosen == first:
            found = evidence - evidence.max(axis=1, keepdims=True)
            assert np.ptp(found, axis=1).max() > 0.5
    assert succeeded.mean() >= 0.75
