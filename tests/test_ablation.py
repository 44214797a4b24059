"""The ablation study: every variant can be made, unknown names are refused, and the worst seed comes first."""

import math

import numpy as np
import pytest

from embodied.errors import UnknownNameError
from embodied.learn.ppo import SequencePPO
from embodied_scripts.cli.study_ablation import Ablation
from embodied_scripts.cli.train import MANY_WORLDS
from embodied_scripts.studies import ablation


def test_every_variant_is_a_setting_of_the_learner_or_of_the_policy():
    worlds = ablation._worlds(ablation._maker("PendulumNoVel-v1"), 2)
    for name, variant in ablation.VARIANTS.items():
        config = MANY_WORLDS.with_settings(variant.settings)
        model = SequencePPO(variant.kind, worlds, config, policy_kwargs=dict(variant.policy), device="cpu")
        assert (model.policy.previous_action is None) == (name == "previous action not read")


def test_a_row_holds_what_fresh_episodes_earned(monkeypatch):
    monkeypatch.setattr(ablation, "VARIANTS", {"few": ablation.Variant({"n_steps": 4, "batch_size": 8}, worlds=2)})
    row = ablation._row(8, 2, "RepeatPreviousEasy: few", 3)
    assert (row["condition"], row["seed"], row["steps"]) == ("RepeatPreviousEasy: few", 3, 8)
    assert -1 <= row["return"] <= 1


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        (Ablation(only=("no memory at all",)), "previous action not read"),
        (Ablation(problems=("Pong",)), "PendulumNoVel-v1"),
    ],
)
def test_what_there_is_not_is_refused_and_what_there_is_listed(asked, known, tmp_path):
    asked.out = tmp_path
    with pytest.raises(UnknownNameError, match=known):
        ablation.ablation(asked)


def test_the_interquartile_mean_leaves_out_the_best_and_the_worst_quarter():
    returns = np.array([0.0, 4.0, 5.0, 6.0, 90.0, 5.5, 4.5, -70.0])
    middle, low, high = ablation.interquartile_mean(returns)
    assert middle == pytest.approx(np.mean([4.0, 4.5, 5.0, 5.5]))
    assert -70 < low < middle < high < 90
    one, *interval = ablation.interquartile_mean(np.array([3.0]))
    assert one == 3.0
    assert all(math.isnan(end) for end in interval)


def test_what_has_the_best_worst_seed_comes_first(capsys):
    returns = {"risky": np.array([0.0, 1.0, 1.0]), "safe": np.array([0.6, 0.7, 0.6])}
    ablation._print("Some", returns)
    told = capsys.readouterr().out
    assert told.index("safe") < told.index("risky")
