"""Randomness: honest distributions, and bits that depend on nothing but the world's own key."""

import numpy as np
import pytest

from embodied.seeding import WorldStreams, as_normal


def streams(n: int, seed: int = 0) -> WorldStreams:
    made = WorldStreams(n)
    made.seed(seed)
    made.begin()
    return made


def test_a_world_draws_the_same_bits_alone_and_among_thousands():
    many = streams(1000, seed=5).stream(("camera", 7)).bits(3)
    alone = streams(1, seed=5 + 123).stream(("camera", 7)).bits(3)
    assert np.array_equal(many[123], alone[0])


def test_a_name_draws_the_same_bits_whatever_is_drawn_beside_it():
    world = streams(4)
    beside = world.stream(("imu", 3), ("camera", 5)).bits(9)[:, 3:]
    assert np.array_equal(beside, world.stream(("camera", 5)).bits(9))


def test_names_steps_lanes_episodes_and_seeds_all_give_different_bits():
    world = streams(2)
    draws = [world.stream((name, 2)).bits(step) for name in ("a", "b") for step in (0, 1)]
    world.begin()
    draws.append(world.stream(("a", 2)).bits(0))
    flat = np.concatenate([d.ravel() for d in draws])
    assert len(np.unique(flat)) == flat.size


def test_normals_have_the_moments_and_the_tails_of_a_normal():
    z = as_normal(streams(2000).stream(("noise", 100)).bits(1)).ravel()
    n = z.size
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert abs((z**2).mean() - 1) < 4 * np.sqrt(2 / n)
    assert abs((z**4).mean() - 3) < 4 * np.sqrt(96 / n)
    assert (np.abs(z) > 3).mean() == pytest.approx(0.0027, rel=0.15)


def test_neighboring_lanes_steps_and_worlds_are_uncorrelated():
    stream = streams(500).stream(("noise", 50))
    now, later = as_normal(stream.bits(1)), as_normal(stream.bits(2))
    limit = 5 / np.sqrt(now.size)
    assert abs((now * later).mean()) < limit
    assert abs((now[:, :-1] * now[:, 1:]).mean()) < limit
    assert abs((now[:-1] * now[1:]).mean()) < limit
