"""Policies that were trained apart, made into one."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from conftest import SIGNPOST

from embodied.errors import CheckpointError, OptionError
from embodied.fleet import Ensemble, aligned, merge, permutations_of
from embodied.fleet.merging import with_common_statistics
from embodied.learn import SequencePPO
from embodied.lineage import Line, Making
from embodied.nn.agent import NetworkAgent
from embodied.nn.checkpoint import save_policy
from embodied.nn.policy import load_policy
from embodied.vector.vec import as_vec_env
from embodied_policies import GRUPolicy, MlpPolicy, TransformerPolicy
from embodied_scripts.cli.merge import Merge
from embodied_scripts.training.merging import merge_runs

TINY = {"layers": 2, "width": 16, "heads": 4, "context": 8}


def policy(seed: int, kind=TransformerPolicy, env="Pendulum-v1", shown=None, **settings):
    torch.manual_seed(seed)
    made = gym.make(env)
    settings = (TINY if kind is TransformerPolicy else {"layers": 1, "width": 16}) | settings
    made = kind(made.observation_space, made.action_space, **settings)
    for weight in made.parameters():  # biases, scales and what begins at zero, too
        torch.nn.init.normal_(weight, std=0.3)
    if shown is not None:
        made.encoder.update_normalizer(torch.as_tensor(shown, dtype=torch.float32))
    return made


def read(policy, seed=0):
    """Everything that a policy says of two episodes, one after the other."""
    generator = torch.Generator().manual_seed(seed)
    obs = torch.randn(3, 9, policy.codec.size, generator=generator)
    action = torch.randn(3, 9, policy.action_head.size, generator=generator)
    first = torch.zeros(3, 9, dtype=torch.bool)
    first[:, 0] = first[1, 4] = True
    with torch.no_grad():
        output = policy.sequence(obs, first, policy.initial(3), None, action)
    return torch.cat([output.actions.mean.flatten(), output.value.flatten()])


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_units_in_another_order_are_the_same_network(positions):
    one = policy(0, positions=positions)
    before = read(one)
    kinds = permutations_of(one)
    assert [kind.units for kind in kinds] == [16, 4, 64, 4, 64]
    for kind in kinds:
        order = torch.randperm(kind.units, generator=torch.Generator().manual_seed(kind.units))
        weights = kind.apply(one.state_dict(), order)
        assert any(not torch.equal(weights[name], tensor) for name, tensor in one.state_dict().items())
        one.load_state_dict(weights)
        assert torch.allclose(read(one), before, atol=1e-5)


def test_a_network_in_another_order_is_brought_back():
    one = policy(0)
    weights = one.state_dict()
    for kind in permutations_of(one):
        order = torch.randperm(kind.units, generator=torch.Generator().manual_seed(7))
        weights = kind.apply(weights, order)
    found = aligned(one.state_dict(), weights, permutations_of(one))
    assert all(torch.equal(found[name], tensor) for name, tensor in one.state_dict().items())
    other = policy(1)
    other.load_state_dict(weights)
    assert torch.allclose(read(merge([one, other], "aligned")), read(one), atol=1e-5)
    assert not torch.allclose(read(merge([one, other], "average")), read(one), atol=1e-2)


def test_an_average_counts_each_by_its_share():
    one, other = policy(0), policy(1)
    made = merge([one, other], "average", shares=[3, 1]).state_dict()
    for name, tensor in one.state_dict().items():
        assert torch.allclose(made[name], 0.75 * tensor + 0.25 * other.state_dict()[name], atol=1e-6)
    alone = merge([one, other], "average", shares=[0, 2])
    assert torch.allclose(read(alone), read(other), atol=1e-5)


def test_statistics_in_common_leave_what_a_policy_does_as_it_was():
    rng = np.random.default_rng(0)
    few = policy(0, normalize=True, shown=rng.normal(2, 3, (50, 3)))
    many = policy(1, normalize=True, shown=rng.normal(-1, 0.5, (150, 3)))
    common = with_common_statistics([few, many])
    for before, after in zip((few, many), common, strict=True):
        assert torch.allclose(read(after), read(before), atol=1e-4)
        assert not torch.equal(after.encoder.running.mean, before.encoder.running.mean)
    both = common[0].encoder.running
    assert int(both.count) == 200
    again = policy(2, normalize=True)
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(2, 3, (50, 3)), rng.normal(-1, 0.5, (150, 3))])
    again.encoder.update_normalizer(torch.as_tensor(rows, dtype=torch.float32))
    assert torch.allclose(both.mean, again.encoder.running.mean)
    assert torch.allclose(both.variance, again.encoder.running.variance)


def test_a_policy_merged_with_itself_is_itself_also_with_a_critic_that_normalizes():
    env = as_vec_env(SIGNPOST, 2)
    model = SequencePPO("TransformerPolicy", env, n_steps=8, batch_size=16, n_epochs=1, normalize=True, seed=0)
    model.learn(32)
    made = merge([model.policy, model.policy], "average").state_dict()
    for name, tensor in model.policy.state_dict().items():
        if not name.endswith("count"):
            assert torch.allclose(made[name].double(), tensor.double(), atol=1e-6), name


def test_task_vectors_add_what_was_learned_to_the_base():
    base, one, other = policy(0), policy(1), policy(2)
    made = merge([one, other], "task-vectors", base, scale=2.0).state_dict()
    for name, tensor in base.state_dict().items():
        change = one.state_dict()[name] + other.state_dict()[name] - 2 * tensor
        assert torch.allclose(made[name], tensor + change, atol=1e-5)


def test_ties_keeps_the_largest_changes_where_they_agree():
    base = policy(0, MlpPolicy)
    one, other = policy(0, MlpPolicy), policy(0, MlpPolicy)
    with torch.no_grad():
        one.encoder.linear.weight[:2] += torch.tensor([[0.0, 0.0, 4.0], [1.0, 0.0, 3.0]])
        other.encoder.linear.weight[:2] += torch.tensor([[0.0, 0.0, 2.0], [1e-4, 0.0, -1.0]])
        one.action_head.mean.bias += 1e-6  # beside what is kept of each
    made = merge([one, other], "ties", base)
    change = (made.encoder.linear.weight - base.encoder.linear.weight)[:2]
    assert torch.allclose(change[0], torch.tensor([0.0, 0.0, 3.0]), atol=1e-5)  # the mean of those that agree
    assert float(change[1, 2].detach()) == pytest.approx(3.0, abs=1e-5)  # of those that do not, the larger one
    assert float(change[1, 0].detach()) == pytest.approx((1.0 + 1e-4) / 2, abs=1e-5)


def test_an_ensemble_does_the_mean_and_remembers_that_it_did():
    members = [policy(seed) for seed in (0, 1)]
    ensemble, alone = Ensemble(members), [NetworkAgent(one) for one in members]
    obs = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    carry, action = ensemble.act(ensemble.initial(2, 0), obs, np.ones(2, bool))
    each = [agent.act(agent.initial(2, 0), obs, np.ones(2, bool))[1] for agent in alone]
    assert np.allclose(action, np.mean(each, axis=0), atol=1e-6)
    for one, member in zip(carry, members, strict=True):
        assert torch.allclose(one.memory.action, member.action_head.from_env(action), atol=1e-6)


@pytest.fixture
def runs(tmp_path):
    """A base and two policies for Signpost, not trained at all."""
    env = gym.make(SIGNPOST)
    folders = []
    for seed, name in enumerate(("base", "one", "other")):
        torch.manual_seed(seed)
        made = TransformerPolicy(env.observation_space, env.action_space, **TINY)
        folder = tmp_path / name / "policy"
        save_policy(folder, made, made.card() | {"env": {"id": SIGNPOST, "options": {}}})
        Making.begin("train", seeds=(seed,)).finish(folder)
        folders.append(folder.parent)
    return folders


@pytest.mark.slow
def test_runs_are_merged_in_every_way_with_their_lineage_and_a_table(runs, tmp_path):
    base, one, other = runs
    out = tmp_path / "out"
    merge_runs(Merge((one, other), out, base, episodes=2, distill=2 * 128, threads=1))
    table = json.loads((out / "merge.json").read_text())
    ways = ["average", "aligned", "task-vectors", "ties", "distilled"]
    assert [*table["players"]] == ["one", "other", "base", *ways, "ensemble"]
    assert all(row[0]["episodes"] == 2 for row in table["players"].values())
    for how in ways:
        line = Line.load(out / how / "policy")
        line.check(out / how / "policy")
        roles = [(parent.role, parent.name) for parent in line.record.origin.parents]
        assert roles == [("member", "one"), ("member", "other"), ("base", "base")]
        assert {record.origin.activity.seeds for record in line.ancestors.values()} == {(0,), (1,), (2,)}
    weights = load_policy(out / "average").state_dict()["encoder.linear.weight"]
    expected = (load_policy(one).encoder.linear.weight + load_policy(other).encoder.linear.weight) / 2
    assert torch.allclose(weights, expected, atol=1e-6)
    with pytest.raises(OptionError, match="not empty"):
        merge_runs(Merge((one, other), out))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: merge([policy(0)], "average"), OptionError, "at least two"),
        (lambda: merge([policy(0), policy(1)], "ties"), OptionError, "needs a base"),
        (lambda: merge([policy(0), policy(1)], "average", shares=[1]), OptionError, "shares"),
        (lambda: merge([policy(0), policy(1)], "average", shares=[-1, 2]), OptionError, "shares"),
        (lambda: merge([policy(0), policy(1, layers=1)], "average"), CheckpointError, "core.blocks.1"),
        (lambda: merge([policy(0, GRUPolicy), policy(1, GRUPolicy)], "aligned"), OptionError, "GRUPolicy"),
        (lambda: merge([policy(0, gate=True), policy(1, gate=True)], "aligned"), OptionError, "change places"),
        (lambda: Ensemble([policy(0, MlpPolicy, "CartPole-v1")]), OptionError, "of a Box"),
    ],
)
def test_what_cannot_be_merged_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
