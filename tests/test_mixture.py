"""Trained policies joined into one, and policies that go on from others."""

import numpy as np
import pytest
import torch
from conftest import QUICK
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from embodied.errors import CheckpointError, OptionError
from embodied.learn.ppo import SequencePPO
from embodied.nn.checkpoint import load_json, save_json
from embodied.nn.policy import Privilege, load_policy
from embodied_policies.gru import GRUPolicy
from embodied_policies.mixture import compose
from embodied_policies.transformer import TransformerPolicy
from embodied_scripts.studies.recall_env import RecallEnv

OBS = spaces.Box(-2, 2, (6,), np.float32)
TURN = spaces.Box(-1, 3, (2,), np.float32)


def experts(actions=TURN):
    told = {"privilege": Privilege(0, (2,))}
    torch.manual_seed(0)
    some = [TransformerPolicy(OBS, actions, context=5, **told), GRUPolicy(OBS, actions, width=32, **told)]
    for policy in some:  # heads start near zero, where nothing could be told apart
        torch.nn.init.normal_(policy.action_head.output.weight)
        torch.nn.init.normal_(policy.action_head.output.bias)
        torch.nn.init.normal_(policy.previous_action.weight)
    return [policy.eval() for policy in some]


def acts(policy, steps=12):
    """Distribution parameters of a policy over some steps with an episode's start in the middle."""
    rows = torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, (steps, 3, 6)), dtype=torch.float32)
    memory, told = policy.initial(3), []
    for t, row in enumerate(rows):
        first = torch.full((3,), t in (0, 7))
        with torch.no_grad():
            reading, memory = policy.step(row, first, memory)
            policy.note_action(memory, torch.full((3, policy.action_head.size), float(t % 2)))
        base = reading.actions.base_dist
        told.append(base.logits if hasattr(base, "logits") else base.loc)
    return torch.stack(told)


@pytest.mark.parametrize("actions", [TURN, spaces.Discrete(4)])
@pytest.mark.parametrize("chosen", [0, 1])
def test_a_mixture_whose_router_trusts_one_expert_acts_as_that_expert(actions, chosen):
    parts = experts(actions)
    mixture = compose(parts).eval()
    with torch.no_grad():
        mixture.core.router.bias[chosen] = 60.0
    torch.testing.assert_close(acts(mixture), acts(parts[chosen]), atol=1e-5, rtol=1e-5)


def test_an_untrained_router_averages_the_experts():
    parts = experts()
    mean = (acts(parts[0]) + acts(parts[1])) / 2
    torch.testing.assert_close(acts(compose(parts).eval()), mean, atol=1e-5, rtol=1e-5)


def test_routing_is_shown_and_sums_to_one():
    told = compose(experts()).eval().introspect(np.random.default_rng(0).uniform(-1, 1, (9, 6)).astype(np.float32))
    assert told.inside["routing"].shape == (1, 9, 2)
    np.testing.assert_allclose(told.inside["routing"].sum(-1), 1, atol=1e-6)
    assert told.inside["expert0/attention"].shape == (2, 4, 9, 9)


def test_a_mixture_is_saved_and_loaded_and_a_nameless_expert_refused(tmp_path):
    mixture = compose(experts()).eval()
    mixture.save(tmp_path)
    torch.testing.assert_close(acts(load_policy(tmp_path)), acts(mixture))
    card = load_json(tmp_path / "policy.json")
    card["settings"]["members"][0]["policy"] = "os.system"
    save_json(tmp_path / "policy.json", card)
    with pytest.raises(CheckpointError, match=r"no policy 'os\.system'"):
        load_policy(tmp_path)


def test_experts_of_different_tasks_cannot_be_joined():
    with pytest.raises(OptionError, match="same observations and actions"):
        compose([experts()[0], experts(spaces.Discrete(4))[0]])
    with pytest.raises(OptionError, match="at least 2"):
        compose(experts()[:1])


def recall_worlds(delay=2, n=32):
    return SyncVectorEnv([lambda: RecallEnv(delay)] * n, autoreset_mode=AutoresetMode.SAME_STEP)


def test_a_router_learns_which_expert_to_follow_and_leaves_frozen_experts_as_they_are():
    """One expert has learned to recall the cue, one to say the opposite: the average of both is at chance."""
    settings = {"n_steps": 30, "minibatches": 8, "learning_rate": 1e-3, "ent_coef": 0.01, "seed": 0}
    kind = {"layers": 1, "width": 32, "context": 8}
    expert = SequencePPO(TransformerPolicy, recall_worlds(), QUICK, policy_kwargs=kind, **settings).learn(20_000).policy
    liar = SequencePPO(expert, recall_worlds(), QUICK, **settings).policy
    with torch.no_grad():
        liar.action_head.output.weight.neg_()
        liar.action_head.output.bias.neg_()
    mixture = compose([liar, expert])
    before = {
        name: value.clone()
        for name, value in mixture.state_dict().items()
        if ".experts." in name or name.startswith("encoder.")
    }
    learner = SequencePPO(mixture, recall_worlds(), QUICK, **settings | {"learning_rate": 3e-4}).learn(20_000)
    assert np.mean([episode["r"] for episode in learner.ep_info_buffer]) > 0.95
    after = learner.policy.state_dict()
    assert before
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_mixture_in_training_stops_and_goes_on(tmp_path):
    mixture = compose([TransformerPolicy(*spaces_of(), context=4), GRUPolicy(*spaces_of())])
    model = SequencePPO(mixture, recall_worlds(), QUICK, n_steps=8, minibatches=4, seed=0).learn(256)
    model.save(tmp_path)
    again = SequencePPO.load(tmp_path, recall_worlds())
    for name, value in model.policy.state_dict().items():
        torch.testing.assert_close(again.policy.state_dict()[name], value)
    again.learn(256)


def spaces_of():
    env = RecallEnv(1)
    return env.observation_space, env.action_space


def test_training_goes_on_from_the_weights_of_another_policy_with_other_heads():
    one = TransformerPolicy(OBS, TURN, forward_model=True)
    other = TransformerPolicy(OBS, TURN)
    other.load_matching_weights(one)
    assert torch.equal(other.core.blocks[0].qkv.weight, one.core.blocks[0].qkv.weight)
    assert torch.equal(other.action_head.output.weight, one.action_head.output.weight)
    with pytest.raises(OptionError, match="another size"):
        other.load_matching_weights(TransformerPolicy(OBS, TURN, width=32))
    with pytest.raises(OptionError, match="same observations"):
        other.load_matching_weights(TransformerPolicy(OBS, spaces.Discrete(2)))


def test_bfloat16_reads_nearly_the_same_in_acting_and_in_sequence():
    policy = TransformerPolicy(OBS, TURN, context=5).eval()
    plain = acts(policy)
    policy.half_precision = True
    torch.testing.assert_close(acts(policy), plain, atol=2e-3, rtol=0.0)
    assert not torch.equal(acts(policy), plain)
    rows = torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, (1, 12, 6)), dtype=torch.float32)
    first = torch.arange(12)[None] == 0
    with torch.no_grad():
        read = policy.sequence(rows, first, policy.memories.snapshot(policy.initial(1)), None, torch.zeros(1, 12, 2))
    assert read.actions.base_dist.loc.dtype == torch.float32


def test_training_in_bfloat16_learns_to_recall():
    model = SequencePPO(
        TransformerPolicy, recall_worlds(), QUICK, n_steps=30, minibatches=8, learning_rate=5e-4, ent_coef=0.01, seed=0,
        bfloat16=True, policy_kwargs={"layers": 1, "width": 32, "context": 8},
    )  # fmt: skip
    model.learn(20_000)
    assert np.mean([episode["r"] for episode in model.ep_info_buffer]) > 0.95


def test_a_part_of_every_memory_is_taken_out_and_put_back():
    parts = experts()
    for policy in [*parts, compose(parts).eval()]:
        memories, target = policy.memories, policy.initial(4)
        with torch.no_grad():
            _, source = policy.step(torch.ones(4, 6), torch.ones(4, dtype=torch.bool), policy.initial(4))
            policy.note_action(source, torch.rand(4, 2))
        put, left = torch.tensor([3, 1]), torch.tensor([0, 2])
        memories.put(target, put, memories.rows(source, put))
        for index, like in ((put, source), (left, policy.initial(4))):
            found, wanted = (memories.tensors(memories.rows(one, index)) for one in (target, like))
            assert all(torch.equal(found[name], wanted[name]) for name in wanted)
