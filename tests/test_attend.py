"""Where attention goes at the moment of commitment, measured on episodes in which something was told."""

from itertools import combinations

import numpy as np
import pytest
from conftest import QUICK, SIGNPOST

import embodied_policies
from embodied.errors import OptionError
from embodied.learn.ppo import SequencePPO
from embodied.vector.vec import GymVecEnv, make_vec
from embodied_scripts.baselines import baselines
from embodied_scripts.show.attention import COMMITMENTS, TOP, Episode, Look, collect, look_back

TOLD = np.array([False, False, True, True, False, False, False])


def test_chance_is_that_of_three_decisions_drawn_at_random():
    look = Look(np.full((1, 1, 7), 1 / 7), TOLD)
    drawn = [TOLD[list(some)].any() for some in combinations(range(7), TOP)]
    assert look.by_chance == pytest.approx(np.mean(drawn))
    assert look.share == pytest.approx(1.0)
    assert Look(np.ones((1, 1, 2)), np.array([False, True])).by_chance == 1.0


def test_attention_on_telling_moments_is_seen_and_elsewhere_it_is_not():
    there, elsewhere = np.zeros((2, 1, 1, 7))
    there[..., 2], elsewhere[..., [0, 1, 6]] = 1.0, 1 / 3
    assert Look(there, TOLD).among_top
    assert Look(there, TOLD).share == pytest.approx(7 / 2)
    assert not Look(elsewhere, TOLD).among_top
    assert Look(elsewhere, TOLD).share == pytest.approx(0.0)


def test_commitments_are_after_the_last_telling_and_at_the_end():
    assert COMMITMENTS["turning away"](TOLD) == 4
    assert COMMITMENTS["arrival"](TOLD) == 6


@pytest.fixture(scope="module")
def played():
    env = GymVecEnv(make_vec(SIGNPOST, 4, threads=1))
    return collect(baselines(env)["heuristic"], env, 8, 0)


def test_a_player_that_reads_is_told_something_and_attention_adds_up(played, tmp_path):
    assert len(played) == 8
    assert all(0 < episode.informative.sum() < len(episode.informative) for episode in played)
    policy = SequencePPO(embodied_policies.TransformerPolicy, make_vec(SIGNPOST, 2, threads=1), QUICK, n_steps=8).policy
    looks = look_back(policy, played, COMMITMENTS["arrival"])
    assert len(looks) == 8
    for look, episode in zip(looks, played, strict=True):
        assert look.attention.shape[2] == len(episode.obs)
        assert np.allclose(look.attention.sum(axis=2), 1, atol=1e-5)
    pytest.importorskip("matplotlib")
    from embodied.view.attention import draw_attention

    draw_attention(looks[0].attention, looks[0].informative, 10.0, tmp_path / "attention.png")
    assert (tmp_path / "attention.png").stat().st_size > 5_000


def test_episodes_in_which_nothing_was_told_are_left_out_and_other_networks_are_named(played):
    env = make_vec(SIGNPOST, 2, threads=1)
    policy = SequencePPO(embodied_policies.MlpPolicy, env, QUICK, n_steps=8).policy
    silent = Episode(played[0].obs, np.zeros(len(played[0].obs), bool))
    assert look_back(policy, [silent], COMMITMENTS["arrival"]) == []
    with pytest.raises(OptionError, match="only a transformer"):
        look_back(policy, played, COMMITMENTS["arrival"])


def test_a_task_without_an_exact_filter_is_refused():
    env = GymVecEnv(make_vec("embodied/LightDark-v0", 2, threads=1))
    with pytest.raises(OptionError, match="log_likelihood"):
        collect(baselines(env)["random"], env, 2, 0)
