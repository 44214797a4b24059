"""What a policy remembers of what it did: the same in acting and in training, and told from what it meant."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from embodied.errors import OptionError
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import load_json, save_json
from embodied.nn.policy import load_policy
from embodied_policies.gru import GRUPolicy
from embodied_policies.mlp import MlpPolicy
from embodied_policies.transformer import TransformerPolicy

OBS = spaces.Box(-2, 2, (3,), np.float32)
ACTIONS = [
    spaces.Box(np.array([-1, 0], np.float32), np.array([3, 1], np.float32)),
    spaces.Discrete(4, start=2),
    spaces.MultiDiscrete([2, 3]),
]


def attentive(kind, actions, **settings):
    """A policy that heeds what it did, by weights of a seed."""
    torch.manual_seed(1)
    policy = kind(OBS, actions, **settings).eval()
    torch.nn.init.normal_(policy.action_head.output.weight)
    if policy.previous_action is not None:
        torch.nn.init.normal_(policy.previous_action.weight)
    return policy


def parameters(output):
    base = output.actions.base_dist
    return base.logits if hasattr(base, "logits") else base.loc


@pytest.mark.parametrize("actions", ACTIONS, ids=lambda space: type(space).__name__)
@pytest.mark.parametrize("kind", [TransformerPolicy, GRUPolicy])
def test_a_sequence_reads_the_actions_that_acting_remembered(kind, actions):
    policy, generator = attentive(kind, actions), torch.Generator().manual_seed(3)
    rows = torch.rand(4, 11, 3, generator=generator)
    first = torch.zeros(4, 11, dtype=torch.bool)
    first[:, 0] = first[2, 6] = True
    memory, before, told, done = policy.initial(4), None, [], []
    with torch.no_grad():
        for t in range(11):
            if t == 5:
                before = policy.memories.snapshot(memory)
            output, memory = policy.step(rows[:, t], first[:, t], memory)
            done.append(2 * policy.choose(output, False, generator))  # a Gaussian goes beyond its Box
            if not isinstance(actions, spaces.Box):
                done[-1] = done[-1] // 2
            policy.note_action(memory, done[-1])
            told.append(parameters(output))
        told, done = torch.stack(told, 1), torch.stack(done, 1)
        read = parameters(policy.sequence(rows[:, 5:], first[:, 5:], before, None, done[:, 5:]))
        assert torch.allclose(read, told[:, 5:], atol=1e-4)
        other = done.clone()
        other[0, 7] = 0 if isinstance(actions, spaces.Box) else (done[0, 7] + 1) % 2
        moved = parameters(policy.sequence(rows[:, 5:], first[:, 5:], before, None, other[:, 5:])) - read
    changed = moved.flatten(2).abs().amax(-1) > 1e-5
    assert changed[0].tolist() == [False] * 3 + [True] * 3
    assert not changed[1:].any()


def test_what_was_done_counts_and_not_what_was_meant():
    policy = attentive(TransformerPolicy, ACTIONS[0])
    beyond = policy.action_head.as_input(torch.tensor([[2.5, -7.0]]))
    assert beyond.tolist() == [[1.0, -1.0]]
    several = attentive(TransformerPolicy, ACTIONS[2]).action_head.as_input(torch.tensor([[1.0, 2.0]]))
    assert several.tolist() == [[0, 1, 0, 0, 1]]


def test_predict_remembers_until_an_episode_starts():
    policy = attentive(GRUPolicy, ACTIONS[0])
    row = np.full((2, 3), 0.3, np.float32)
    first, memory = policy.predict(row, None, np.ones(2, bool), deterministic=True)
    second, after = policy.predict(row, memory, np.array([False, True]), deterministic=True)
    assert np.allclose(second[1], first[1])
    assert not np.allclose(second[0], first[0])
    memory.action = torch.zeros(2, 2)  # as if nothing had been done
    third, _ = policy.predict(row, memory, np.array([False, True]), deterministic=True)
    assert not np.allclose(third[0], second[0])
    assert after.action.shape == (2, 2)


def test_acting_in_some_worlds_leaves_the_memory_of_others():
    policy = attentive(TransformerPolicy, ACTIONS[1])
    agent, rows = NetworkAgent(policy), np.random.default_rng(0).uniform(-1, 1, (6, 3, 3)).astype(np.float32)
    carry = agent.initial(3, 0)
    carry, _ = agent.act(carry, rows[0], np.ones(3, bool))
    before = carry.memory.action.clone()
    later, _ = agent.act_in(carry, rows[1], np.zeros(3, bool), np.array([True, False, True]))
    assert torch.equal(later.memory.action[1], before[1])
    assert torch.equal(carry.memory.action, before)
    assert later.memory.action[[0, 2]].sum(1).tolist() == [1, 1]


def test_at_first_what_was_done_is_ignored_so_that_a_policy_can_go_on_from_one_that_never_read_it():
    old = attentive(TransformerPolicy, ACTIONS[0], previous_action=False)
    new = TransformerPolicy(OBS, ACTIONS[0]).eval()
    new.load_matching_weights(old)
    rows = torch.rand(2, 6, 3)
    first = torch.arange(6).expand(2, 6) == 0
    plain = old.sequence(rows, first, old.initial(2))
    read = new.sequence(rows, first, new.initial(2), None, torch.rand(2, 6, 2))
    assert torch.equal(parameters(plain), parameters(read))


def test_only_what_has_a_memory_reads_what_was_done():
    assert MlpPolicy(OBS, ACTIONS[0]).previous_action is None
    assert TransformerPolicy(OBS, ACTIONS[0], context=1).previous_action is None
    assert TransformerPolicy(OBS, ACTIONS[0], context=2).previous_action is not None


def test_a_sequence_without_actions_is_refused():
    policy = attentive(TransformerPolicy, ACTIONS[0])
    with pytest.raises(OptionError, match="give it the actions"):
        policy.sequence(torch.rand(1, 2, 3), torch.tensor([[True, False]]), policy.initial(1))


def test_policies_that_were_saved_before_there_was_a_choice_load_as_they_were(tmp_path):
    old = attentive(TransformerPolicy, ACTIONS[0], previous_action=False)
    old.save(tmp_path)
    card = load_json(tmp_path / "policy.json")
    del card["settings"]["previous_action"]
    save_json(tmp_path / "policy.json", card)
    loaded = load_policy(tmp_path)
    assert loaded.previous_action is None
    rows, first = torch.rand(1, 4, 3), torch.arange(4)[None] == 0
    assert torch.equal(
        parameters(loaded.sequence(rows, first, loaded.initial(1))),
        parameters(old.sequence(rows, first, old.initial(1))),
    )


def test_retracing_an_episode_finds_what_acting_did():
    policy = attentive(TransformerPolicy, ACTIONS[0])
    rows = np.random.default_rng(0).uniform(-1, 1, (9, 3)).astype(np.float32)
    carry, acted = NetworkAgent(policy).initial(1, 0), []
    for t, row in enumerate(rows):
        carry, action = NetworkAgent(policy).act(carry, row[None], np.array([t == 0]))
        acted.append(action[0])
    assert np.allclose(policy.introspect(rows).action_mean, np.stack(acted), atol=1e-4)
