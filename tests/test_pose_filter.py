"""The filter of a pose: what stands in the room, where walls stop it, and where it was when a frame was taken."""

import math

import numpy as np
import pytest

from embodied.vector.vec import make_vec
from embodied_envs import lightdark
from embodied_policies.scripted.driving import DECISION_S, WHEEL_RADIUS
from embodied_policies.scripted.localize import BODY, TOUCH, at_lens, ranges_in_room
from embodied_scripts.planning import pose_filter

HALF = np.array([2.0, 1.2])


@pytest.fixture(scope="module")
def tracker():
    env = make_vec("embodied/LightDark-v0", 1)
    yield pose_filter(env.task, 300), env.layout
    env.close()


def reading(layout, **parts):
    """One observation in which everything is zero but what is said."""
    obs = np.zeros((1, layout.size), np.float32)
    for name, value in parts.items():
        obs[:, layout.slice(name.replace("__", "/"))] = value
    return obs


def test_a_pillar_is_met_where_it_stands_before_the_wall():
    angles = np.array([0.0, math.pi, math.pi / 2, math.pi - math.asin(0.25 / 1.5), math.pi - math.asin(0.1 / 1.5)])
    ranges = ranges_in_room(np.zeros(3), angles, HALF, [(-1.5, 0.0, 0.2)])
    past = math.hypot(2.0, 2.0 * math.tan(math.asin(0.25 / 1.5)))
    beside = 1.5 * math.cos(math.asin(0.1 / 1.5)) - math.sqrt(0.2**2 - 0.1**2)
    assert ranges == pytest.approx([2.0, 1.3, 1.2, past, beside])
    turned = ranges_in_room(np.array([0.0, 0.0, math.pi]), np.array([0.0, math.pi]), HALF, [(-1.5, 0.0, 0.2)])
    assert turned == pytest.approx([1.3, 2.0])


def test_who_drives_against_a_wall_is_believed_to_stand_at_it(tracker):
    follow, layout = tracker
    belief = follow.initial(1, 0)
    belief.pose[..., 2] = math.pi / 2 + 0.1 * belief.generator.standard_normal(belief.pose.shape[:2])
    driving = reading(layout, wheel_speed=0.4 / WHEEL_RADIUS)
    for step in range(60):  # 2.4 m, twice as far as there is room
        belief = follow.update(belief, driving, np.array([False]))
        if step == 5:
            assert belief.pose[..., 1].std() > 0.2
    at_wall = lightdark.HALF_Y - BODY
    assert belief.pose[..., 1].max() < at_wall + 6 * TOUCH
    assert belief.mean[0, 1] == pytest.approx(at_wall, abs=0.02)
    assert belief.pose[..., 0].std() > 0.1  # along the wall as uncertain as before


def test_a_frame_is_compared_with_where_each_particle_was_when_it_was_taken(tracker):
    follow, layout = tracker
    then = np.array([-1.3, 0.4, 2.0])
    angles = np.linspace(math.pi, -math.pi, 24, endpoint=False)
    lamp = [(*lightdark.LAMP_AT, lightdark.LAMP)]
    seen = ranges_in_room(at_lens(then), angles, HALF, lamp)
    obs = reading(layout, ring__range=seen, ring__valid=1.0, ring__age=DECISION_S, ring__new=1.0)
    poses = np.tile(then + np.array([0.0, 0.0, 0.3]), (1, 3, 1))
    told = follow.log_likelihood(poses, obs, np.array([[[0.0, 0.3], [0.0, 0.0], [0.0, -0.3]]]))[0]
    assert told[0] > told[1] + 5 > told[2] + 10


def test_resampling_leaves_mean_and_spread_as_they_were(tracker):
    follow, _ = tracker
    belief = follow.initial(1, 0)
    belief.pose[..., 1] += belief.pose[..., 0]  # so that what goes with what is seen to stay, too
    belief.log_weights[0, 60:] = -50.0
    few = belief.pose[0, :60].copy()
    after = follow._renewed(belief).pose[0]
    assert after.mean(axis=0) == pytest.approx(few.mean(axis=0), abs=0.05)
    assert np.cov(after.T) == pytest.approx(np.cov(few.T), abs=0.03)
    assert len(np.unique(after, axis=0)) == 300
