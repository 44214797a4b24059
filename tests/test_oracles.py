"""Numbers that were worked out by hand, away from symmetric points: they change with a sign, an index or a unit."""

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch
from conftest import QUICK, SIGNPOST
from gymnasium import spaces

from embodied.learn.config import PPOConfig
from embodied.learn.losses import clipped_gain, ppo_losses
from embodied.learn.rollout import Rollout
from embodied.mind.information import sample_entropy
from embodied.physics.batch import Batch
from embodied.randomization.distributions import Uniform
from embodied.randomization.spec import Randomization, RandomizationTerm
from embodied.robot.frames import ClockChannel
from embodied.robot.rays.batched import BatchedRays
from embodied.robot.rays.spec import RaySensor
from embodied.robot.timing import FrameClock, Timing
from embodied.seeding import WorldStreams
from embodied.selfplay.config import LeagueConfig
from embodied.selfplay.games import PettingZooGames
from embodied.selfplay.league import LEAST_PRIORITY, League
from embodied.selfplay.population import Score
from embodied.vector.vec import make_vec
from embodied_policies import MlpPolicy
from embodied_scripts.studies.table_games import BiasedRockPaperScissors

RAW = replace(QUICK, normalize_advantage=False)


def fixed_policy(logits: list[float], value: float) -> MlpPolicy:
    """A policy that says the same whatever it sees."""
    policy = MlpPolicy(spaces.Box(-1, 1, (2,)), spaces.Discrete(len(logits)), layers=1, width=4)
    with torch.no_grad():
        policy.action_head.logits.weight.zero_()
        policy.action_head.logits.bias.copy_(torch.tensor(logits))
        policy.value_head.weight.zero_()
        policy.value_head.bias.fill_(value)
    return policy


def rollout_of(policy: MlpPolicy, ratios: list[float], advantages: list[float], returns: list[float]) -> Rollout:
    """One environment, steps in a row, always the first action, taken before with the probability now ÷ ratio."""
    steps = len(ratios)
    rollout = Rollout.empty(1, steps, 2, 1, 0, 0, 0, "cpu")
    with torch.no_grad():
        output = policy.sequence(rollout.obs, rollout.first, policy.initial(1))
        now = output.actions.log_prob(rollout.action)
    rollout.log_prob = now - torch.tensor([ratios]).log()
    rollout.advantage, rollout.returns = torch.tensor([advantages]), torch.tensor([returns])
    rollout.memory = policy.initial(1)
    return rollout


def losses_of(rollout: Rollout, policy: MlpPolicy, config: PPOConfig = RAW, spread: float = 1.0):
    return ppo_losses(policy, rollout, torch.tensor([0]), 0.2, torch.tensor(spread), config)


def test_the_surrogate_is_clipped_where_it_would_gain_and_nowhere_else():
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1])
    advantage = torch.tensor([2.0, -2.0, 2.0, -2.0, 3.0])
    gained = clipped_gain(ratio, advantage, 0.2)
    torch.testing.assert_close(gained, torch.tensor([2.4, -3.0, 1.0, -1.6, 3.3]))


def test_the_losses_of_ppo_are_those_worked_out_by_hand():
    policy = fixed_policy([0.0, math.log(3.0)], value=0.7)
    rollout = rollout_of(policy, [1.5, 0.5, 1.1, 0.9], [2.0, -2.0, 3.0, 50.0], [1.0, -0.3, 0.7, 99.0])
    rollout.ignore[0, 3] = True  # neither its advantage nor its return counts
    losses = losses_of(rollout, policy, spread=2.0)
    assert losses.policy.item() == pytest.approx(-(2.4 - 1.6 + 3.3) / 3)
    assert losses.value.item() == pytest.approx((0.3**2 + 1.0**2 + 0.0) / 4 / 3)
    assert losses.entropy.item() == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))
    kl = [r - 1 - math.log(r) for r in (1.5, 0.5, 1.1)]
    assert losses.approx_kl.item() == pytest.approx(sum(kl) / 3)
    assert losses.clip_fraction.item() == pytest.approx(2 / 3)
    total = losses.total(replace(RAW, vf_coef=0.25, ent_coef=0.1)).item()
    assert total == pytest.approx(
        losses.policy.item() + 0.25 * losses.value.item() - 0.1 * losses.entropy.item(), rel=1e-5
    )


def test_normalized_advantages_leave_out_the_steps_that_do_not_count():
    policy = fixed_policy([0.0, 0.0], value=0.0)
    rollout = rollout_of(policy, [1.0, 1.0, 1.1], [1.0, 3.0, -1000.0], [0.0, 0.0, 0.0])
    rollout.ignore[0, 2] = True
    rollout.log_prob[0, 0] -= math.log(1.1)  # a ratio of 1.1 where the advantage is −1 in standard deviations
    assert losses_of(rollout, policy, QUICK).policy.item() == pytest.approx(-(-1.1 + 1.0) / 2, abs=1e-6)


def test_values_are_clipped_around_those_of_the_rollout():
    policy = fixed_policy([0.0, 0.0], value=1.0)
    rollout = rollout_of(policy, [1.0, 1.0], [0.0, 0.0], [2.0, 2.0])
    rollout.value = torch.tensor([[0.4, 1.5]])
    clipped = losses_of(rollout, policy, replace(RAW, clip_range_vf=0.3)).value.item()
    assert clipped == pytest.approx(((0.7 - 2.0) ** 2 + (1.2 - 2.0) ** 2) / 2)
    assert losses_of(rollout, policy).value.item() == pytest.approx(1.0)


def test_entropy_is_a_bonus_so_descending_the_loss_makes_actions_less_certain():
    policy = fixed_policy([0.0, 2.0], value=0.0)
    rollout = rollout_of(policy, [1.0], [0.0], [0.0])
    losses_of(rollout, policy).total(replace(RAW, ent_coef=1.0)).backward()
    likely = policy.action_head.logits.bias.grad[1].item()
    assert likely > 0  # a step against the gradient lowers the logit of the likelier action


def test_a_frame_is_captured_at_the_first_tick_at_or_after_its_instant():
    streams = WorldStreams(1)
    clock = FrameClock([Timing(rate_hz=30.0, phase_s=0.004)], 1, [0.01], streams.stream(("eye/timing", 2)))
    channel, ticks = ClockChannel(clock, 0), np.arange(15)
    due = np.concatenate([channel.captures(np.array([tick]), slice(None)) for tick in ticks])
    # instants 4.0, 37.3, 70.7, 104.0, 137.3 ms on ticks of 10 ms
    assert ticks[due].tolist() == [1, 4, 8, 11, 14]


def test_the_first_beam_looks_to_the_left():
    spec = mujoco.MjSpec()
    body = spec.worldbody.add_body(name="robot")
    body.add_geom(name="hull", size=[0.01, 0.01, 0.01])
    body.add_site(name="eye")
    for name, y in (("left", 1.0), ("right", -2.0)):
        spec.worldbody.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.1, 0, 0], pos=[0, y, 0])
    fan = RaySensor("ring", "eye", "robot", 3, math.pi, 5.0, range_noise=0.0)
    batch = Batch(spec.compile(), 1)
    batch.forward()
    rays = BatchedRays(fan, None, batch, WorldStreams(1), "")
    ranges, valid = rays.frame(np.zeros(1, np.int64), None)[:2]
    np.testing.assert_allclose(ranges[0, [0, 2]], [0.9, 1.9], atol=1e-6)  # left +y is nearer than right −y
    assert valid[0].tolist() == [1, 0, 1]


def test_opponents_are_sampled_by_the_square_of_what_the_learner_loses(tmp_path):
    config = LeagueConfig(2, latest=0.0, anchors=0.0, uniform=0.0, checkpoints=4)
    small = {"n_steps": 8, "minibatches": 2, "policy_kwargs": {"layers": 1, "width": 8}}
    league = League(PettingZooGames(BiasedRockPaperScissors, 8), MlpPolicy, tmp_path, None, config, ppo=QUICK, **small)
    names = [league.snapshot("snapshot").name for _ in range(3)]
    for name, wins in zip(names, (9.0, 5.0, 1.0), strict=True):
        league.population.scores[name] = Score(10.0, wins)
    losing = np.array([0.1, 0.5, 0.9]) ** 2 + LEAST_PRIORITY
    sampled = [league.sample() for _ in range(4000)]
    shares = np.array([sampled.count(name) for name in names]) / 4000
    np.testing.assert_allclose(shares, losing / losing.sum(), atol=0.025)


def test_the_correction_of_miller_and_madow_is_kinds_less_one_over_twice_the_number():
    labels = [0, 0, 0, 0, 1, 1, 1, 2]
    plug_in = -(0.5 * math.log2(0.5) + 0.375 * math.log2(0.375) + 0.125 * math.log2(0.125))
    estimate = sample_entropy(labels)
    assert estimate.value == pytest.approx(plug_in + 2 / (2 * 8 * math.log(2)))
    weighted = sample_entropy([0, 1, 2], [0.5, 0.25, 0.25])
    effective = 1 / (0.5**2 + 2 * 0.25**2)
    assert weighted.value == pytest.approx(1.5 + 2 / (2 * effective * math.log(2)))


@pytest.mark.parametrize(
    ("how", "of"), [("add", lambda x: x + 0.01), ("scale", lambda x: x * 0.01), ("set", lambda x: 0.01)]
)
def test_a_term_adds_to_scales_or_replaces_the_nominal_value(how, of):
    term = RandomizationTerm("wheel_speed/noise", Uniform(0.01, 0.01 + 1e-12), how)
    env = make_vec(SIGNPOST, 2, randomize=Randomization((term,)))
    noise = env.body.parameter("wheel_speed/noise")
    nominal = noise.copy()
    assert (nominal != 0.01).all()
    env.reset(seed=1)
    np.testing.assert_allclose(noise, of(nominal), rtol=1e-6)
