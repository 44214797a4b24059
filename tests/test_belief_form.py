"""Beliefs of a network about hidden variables of every kind are densities, and what they say of the truth is right."""

import math

import pytest
import torch
from torch.distributions import VonMises

from embodied.hidden import Continuous, Discrete
from embodied.nn.belief_head import BeliefHeadLayout, forms_of

X = Continuous("x", -1.0, 3.0, "m")
TURN = Continuous("heading", 0.0, 2 * math.pi, "rad", angle=True)
FORM = BeliefHeadLayout(forms_of((Discrete("pad", ("red", "blue", "green"), (0.5, 0.25, 0.25)), X, TURN)))


def test_the_outputs_are_as_many_as_the_variables_need():
    assert FORM.size == 3 + 2 + 2
    assert FORM.values == 3
    assert BeliefHeadLayout(forms_of((X,))).values == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_part_is_a_distribution(seed):
    output = 1.5 * torch.randn(FORM.size, generator=torch.Generator().manual_seed(seed))
    labels = torch.tensor([[k, 0.0, 0.0] for k in range(3)])
    x = torch.linspace(-40, 40, 80_001)
    turn = torch.linspace(0, 2 * math.pi, 20_001)[:-1]
    lines = torch.stack([torch.zeros_like(x), x, torch.zeros_like(x)], dim=1)
    turns = torch.stack([torch.zeros_like(turn), torch.zeros_like(turn), turn], dim=1)
    total = [
        FORM.log_density(output.expand(len(truth), -1), truth)[:, i].exp().mean().item() * measure
        for i, (truth, measure) in enumerate([(labels, 3.0), (lines, 80 / 4), (turns, 1.0)])
    ]
    assert total == pytest.approx([1.0, 1.0, 1.0], abs=1e-3)


def test_an_angle_has_the_density_of_von_mises():
    output = torch.tensor([0.9, -1.2])
    angle = torch.linspace(-3, 3, 50)
    said = BeliefHeadLayout(forms_of((TURN,))).log_density(output.expand(50, 2), angle[:, None])[:, 0]
    known = VonMises(torch.tensor(math.atan2(-1.2, 0.9)), torch.tensor(math.expm1(1.5))).log_prob(angle)
    torch.testing.assert_close(said, known + math.log(2 * math.pi), atol=1e-5, rtol=0)


def test_no_output_however_large_makes_an_angle_likelier_than_it_can_be():
    form = BeliefHeadLayout(forms_of((TURN,)))
    angle = torch.linspace(0, 2 * math.pi, 200_001)[:-1, None]
    density = form.log_density(torch.tensor([20.0, 0.0]).expand(len(angle), 2), angle)[:, 0]
    assert density.exp().mean().item() == pytest.approx(1.0, abs=0.01)
    assert density.max().item() < 8


def test_descending_the_loss_finds_where_things_are_and_how_sure_one_may_be():
    rng = torch.Generator().manual_seed(0)
    truth = torch.stack([1.6 + 0.1 * torch.randn(4096, generator=rng), 6.2 + 0.2 * torch.randn(4096, generator=rng)], 1)
    form = BeliefHeadLayout(forms_of((X, TURN)))
    output = torch.zeros(form.size, requires_grad=True)
    optimizer = torch.optim.Adam([output], 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        loss = -form.log_density(output.expand(4096, -1), truth).sum(1).mean()
        loss.backward()
        optimizer.step()
    entropy = sum(0.5 * math.log(2 * math.pi * math.e * s**2) for s in (0.1 / 4, 0.2 / (2 * math.pi)))
    assert loss.item() == pytest.approx(entropy, abs=0.05)
    assert output[0].item() == pytest.approx((1.6 + 1) / 4 - 0.5, abs=0.01)


def test_information_is_the_entropy_of_knowing_nothing_minus_that_of_the_belief():
    x = torch.linspace(-40, 40, 80_001)
    turn = torch.linspace(0, 2 * math.pi, 20_001)[:-1]
    for variable, at, measure in ((X, x, 80 / 4), (TURN, turn, 1.0)):
        form = BeliefHeadLayout(forms_of((variable,)))
        for output in (torch.tensor([0.3, -1.5]), torch.tensor([1.2, -2.0])):
            log_density = form.log_density(output.expand(len(at), 2), at[:, None])[:, 0]
            expected = (log_density.exp() * log_density).mean().item() * measure
            assert form.information(output).item() == pytest.approx(expected, abs=2e-3)
    die = BeliefHeadLayout((4,))
    assert die.information(torch.zeros(4)).item() == pytest.approx(0.0, abs=1e-6)
    assert die.information(torch.tensor([50.0, 0.0, 0.0, 0.0])).item() == pytest.approx(math.log(4))
    assert die.information(torch.tensor([50.0, 50.0, 0.0, 0.0])).item() == pytest.approx(math.log(2))


def test_information_about_several_variables_adds_up_and_is_bounded():
    nothing = torch.zeros(FORM.size)
    sure = nothing.clone()
    sure[0] = 50.0
    assert FORM.information(nothing).item() == pytest.approx(0.0, abs=0.01)
    assert FORM.information(sure).item() == pytest.approx(math.log(3), abs=0.01)
    assert torch.isfinite(FORM.information(torch.full((FORM.size,), 1e4)))
    assert FORM.information(torch.full((FORM.size,), -1e4)).item() < 20
    assert (
        BeliefHeadLayout(forms_of((X,))).information(torch.tensor([0.0, 9.0])).item() == 0.0
    )  # higher than knowing nothing
