"""Options about places: a robot goes to them, looks at them, and pushes on."""

import numpy as np
import pytest
from conftest import SIGNPOST

import embodied_envs  # noqa: F401
from embodied.agent import InformedAgent, OptionAgent
from embodied.errors import OptionError, UnknownNameError
from embodied.vector.vec import make_vec
from embodied_policies.scripted.landmarks import LandmarkDriver
from embodied_scripts.baselines import option_agent

POINTS = np.array([[0.5, -0.1], [-0.4, -0.7]])


def driven(option, seconds, verbs=("go to", "look at", "touch", "push")):
    """Where a robot that stands at (0, −0.3) stands after it has done something, and the option's number."""
    env = make_vec(SIGNPOST, 1)
    env.reset(seed=3)
    driver = LandmarkDriver(env.task.robot.layout, ["east", "southwest"], verbs)
    known = np.column_stack([env.body.xy, env.body.heading, POINTS.reshape(1, -1)])
    carry = driver.inform(driver.initial(1, 0), known)
    carry = driver.set_option(carry, np.array([list(driver.options).index(option)]))
    obs, path = env.last_obs, [env.body.xy[0].copy()]
    for _ in range(round(10 * seconds)):
        carry, action = driver.act(carry, obs, np.zeros(1, bool))
        obs = env.step(action)[0]
        path.append(env.body.xy[0].copy())
    heading, pose = env.body.heading[0], carry.pose[0]
    env.close()
    return np.array(path), heading, pose


@pytest.mark.parametrize(("place", "name"), list(enumerate(["east", "southwest"])))
def test_it_goes_to_the_place_that_is_named_and_stays_there_and_knows_where_it_is(place, name):
    path, heading, pose = driven(f"go to {name}", 5.0)
    assert np.linalg.norm(path[-1] - POINTS[place]) < 0.12
    assert np.linalg.norm(path[-1] - path[-6]) < 0.02
    assert np.linalg.norm(pose[:2] - path[-1]) < 0.08
    assert abs(pose[2] - heading) % (2 * np.pi) < 0.2


def test_it_looks_without_going_and_pushes_on_beyond():
    path, heading, _ = driven("look at southwest", 2.5)
    assert np.linalg.norm(path[-1] - path[0]) < 0.05
    way = POINTS[1] - path[-1]
    assert np.cos(heading - np.arctan2(way[1], way[0])) > 0.97
    path, _, _ = driven("push east", 4.0)
    along = (POINTS[0] - path[0]) / np.linalg.norm(POINTS[0] - path[0])
    assert (path[-1] - POINTS[0]) @ along > 0.2
    path, _, _ = driven("wait", 1.0)
    assert np.linalg.norm(path[-1] - path[0]) < 0.02


def test_touching_is_slower_than_pushing():
    slow, fast = (driven(f"{verb} east", 2.0)[0] for verb in ("touch", "push"))
    assert 0.05 < np.linalg.norm(slow[-1] - slow[0]) < 0.8 * np.linalg.norm(fast[-1] - fast[0])


def test_it_is_an_agent_with_options_that_can_be_informed():
    env = make_vec(SIGNPOST, 1)
    driver = LandmarkDriver(env.task.robot.layout, ["a", "b"])
    assert isinstance(driver, OptionAgent)
    assert isinstance(driver, InformedAgent)
    assert list(driver.options) == ["go to a", "go to b", "look at a", "look at b", "wait"]


def test_what_there_are_no_options_for_is_named():
    env = make_vec(SIGNPOST, 1)
    layout = env.task.robot.layout
    with pytest.raises(OptionError, match="no places"):
        LandmarkDriver(layout, [])
    with pytest.raises(UnknownNameError, match="kick"):
        LandmarkDriver(layout, ["a"], ["kick"])
    with pytest.raises(UnknownNameError, match="landmarks"):
        option_agent("mine/Other-v0", env.task)
