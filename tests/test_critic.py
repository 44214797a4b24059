"""Critics: where they begin, and how they read what is hidden."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

from embodied.nn.checkpoint import load_json, save_json
from embodied.nn.policy import load_policy
from embodied.nn.privilege import Privilege
from embodied_policies.mlp import MlpPolicy
from embodied_policies.transformer import TransformerPolicy


@pytest.mark.parametrize("kind", [TransformerPolicy, MlpPolicy])
def test_before_anything_is_learned_everything_is_worth_the_same(kind):
    space = spaces.Box(-1, 1, (3,), np.float32)
    rows, first = torch.rand(64, 3), torch.ones(64, dtype=torch.bool)
    own = kind(space, space)
    output, _ = own.step(rows, first, own.initial(64))
    assert output.value.unique().tolist() == [0.0]
    informed = kind(space, space, privilege=Privilege(3, (4,)))
    worth = informed.evaluate_value(rows, torch.randint(4, (64, 1)).float())
    assert worth.unique().tolist() == [0.0]
    worth.sum().backward()
    assert informed.critic[-1].weight.grad.abs().min() > 0  # and yet it can learn


def test_a_critic_reads_hidden_variables_as_what_they_are():
    privilege = Privilege(2, (3, (1.0, 5.0, False), (0.0, 2 * math.pi, True)))
    state, hidden = torch.tensor([[0.5, -0.5]]), torch.tensor([[2.0, 4.0, math.pi / 2]])
    read = privilege.critic_input(state, hidden)
    assert read.shape == (1, privilege.critic_size)
    assert read[0].tolist() == pytest.approx([0.5, -0.5, 0, 0, 1, 0.5, 1, 0], abs=1e-6)


def test_a_critic_that_was_saved_with_plain_numbers_reads_them_as_before(tmp_path):
    space = spaces.Box(-1, 1, (3,), np.float32)
    old = MlpPolicy(space, space, privilege=Privilege(2, (3,)), plain_critic=True)
    torch.nn.init.normal_(old.critic[-1].weight)
    old.save(tmp_path)
    card = load_json(tmp_path / "policy.json")
    del card["settings"]["plain_critic"]
    save_json(tmp_path / "policy.json", card)
    state, hidden = torch.rand(5, 2), torch.tensor([[0.0], [1], [2], [1], [0]])
    by_hand = old.critic(torch.cat([state, 2 * hidden - 1], dim=1))[:, 0]
    assert torch.equal(load_policy(tmp_path).evaluate_value(state, hidden), by_hand)
