"""What acting saw is what training sees: the cache, the sequence and the episode's own window agree."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from embodied.errors import OptionError
from embodied_policies.gru import GRUConfig, GRUCore
from embodied_policies.mlp import MlpCore
from embodied_policies.size import Size
from embodied_policies.transformer import TransformerConfig, TransformerCore, TransformerPolicy

WIDTH = 64


def core(context: int = 128, layers: int = 3, **kind) -> TransformerCore:
    torch.manual_seed(0)
    made = TransformerCore(TransformerConfig(layers=layers, context=context, **kind)).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "distance" in name:
                parameter.normal_()
    return made


def episodes(n: int, steps: int, share: float = 0.05) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs, and flags of episodes that begin at the start and at random in the middle."""
    generator = torch.Generator().manual_seed(1)
    first = torch.rand(n, steps, generator=generator) < share
    first[:, 0] = True
    return torch.randn(n, steps, WIDTH, generator=generator), first


@torch.no_grad()
def act(network: TransformerCore, x: torch.Tensor, first: torch.Tensor, memory=None):
    """Features of stepping through, and the memory afterwards."""
    memory = network.initial(len(x)) if memory is None else memory
    out = []
    for t in range(x.shape[1]):
        features, memory = network.step(x[:, t], first[:, t], memory)
        out.append(features)
    return torch.stack(out, dim=1), memory


@pytest.mark.parametrize("context", [1, 7, 40, 128])
@torch.no_grad()
def test_stepping_with_a_cache_equals_reading_whole_episodes_at_once(context):
    network = core(context)
    x, first = episodes(6, 150)
    stepped, _ = act(network, x, first)
    read = network.sequence(x, first, network.snapshot(network.initial(6)))
    assert torch.allclose(stepped, read, atol=1e-5)


KINDS = [{"positions": "learned"}, {"gate": True}, {"experts": 4}, {"positions": "learned", "gate": True, "experts": 2}]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@torch.no_grad()
def test_every_kind_of_transformer_and_the_gru_read_as_they_step(kind):
    torch.manual_seed(0)
    for network in (core(9, **kind), GRUCore(GRUConfig(layers=2, width=WIDTH)), MlpCore(Size(width=WIDTH))):
        x, first = episodes(6, 60, share=0.1)
        _, memory = act(network, x[:, :20], first[:, :20])
        before = network.snapshot(memory)
        read = network.sequence(x[:, 20:], first[:, 20:], before)
        stepped, _ = act(network, x[:, 20:], first[:, 20:], memory)
        assert torch.allclose(stepped, read, atol=1e-5)


@torch.no_grad()
def test_a_step_without_side_effects_equals_the_one_with_a_cache_written_in_place():
    network = core(5, positions="learned", gate=True)
    x, first = episodes(3, 20, share=0.1)
    stepped, _ = act(network, x, first)
    cache = network.initial(3)
    tensors = [cache.keys_LNHCD, cache.values_LNHCD, cache.time_NC, cache.age_N]
    for t in range(20):
        out, *tensors = network.pure_step(x[:, t], first[:, t], *tensors)
        assert torch.allclose(out, stepped[:, t], atol=1e-5)


@torch.no_grad()
def test_an_explanation_shows_where_attention_went_and_which_experts_worked():
    network = core(context=8, layers=2, experts=4)
    x, first = episodes(1, 12, share=0.0)
    first[0, 6] = True
    told = network.introspect(x, first)
    assert told["attention"].shape == (2, 4, 12, 12)
    assert torch.allclose(told["attention"].sum(-1), torch.ones(2, 4, 12), atol=1e-5)
    assert (told["attention"][..., 6:, :6] == 0).all()  # nothing of the episode before
    assert (told["attention"].triu(1) == 0).all()  # nor of the future
    assert ((told["routing"] > 0).sum(-1) == 2).all()


@pytest.mark.parametrize("context", [7, 128])
@torch.no_grad()
def test_reading_on_from_a_memory_equals_having_read_it_all(context):
    network = core(context)
    x, first = episodes(6, 120)
    stepped, _ = act(network, x, first)
    _, memory = act(network, x[:, :50], first[:, :50])
    read = network.sequence(x[:, 50:], first[:, 50:], network.snapshot(memory))
    assert torch.allclose(stepped[:, 50:], read, atol=1e-5)


@torch.no_grad()
def test_nothing_is_seen_of_other_episodes_the_future_or_beyond_the_window():
    network = core(context=10, layers=1)
    x, first = episodes(1, 60, share=0.0)
    first[:, 30] = True
    base = network.sequence(x, first, network.snapshot(network.initial(1)))
    for changed, touched in ((29, range(29, 30)), (35, range(35, 45)), (55, range(55, 60))):
        y = x.clone()
        y[:, changed] = torch.randn(WIDTH)
        moved = (network.sequence(y, first, network.snapshot(network.initial(1))) - base).abs().amax(-1)[0] > 1e-6
        assert torch.nonzero(moved).flatten().tolist() == list(touched)


@torch.no_grad()
def test_without_memory_only_the_present_counts():
    network = core(context=1)
    x, first = episodes(2, 20, share=0.0)
    together = network.sequence(x, first, network.snapshot(network.initial(2)))
    for t in (0, 7, 19):
        memory = network.initial(2)
        alone, _ = network.step(x[:, t], torch.ones(2, dtype=torch.bool), memory)
        assert torch.allclose(together[:, t], alone, atol=1e-5)


def test_the_predict_of_stable_baselines3_carries_its_state():
    space = spaces.Box(-1, 1, (5,), np.float32)
    policy = TransformerPolicy(space, spaces.Box(-2, 3, (2,), np.float32), context=8)
    obs = np.random.default_rng(0).uniform(-1, 1, (10, 3, 5)).astype(np.float32)
    state, start = None, np.ones(3, bool)
    for o in obs:
        action, state = policy.predict(o, state, start, deterministic=True)
        start = np.zeros(3, bool)
    again, _ = policy.predict(obs[-1], None, np.ones(3, bool), deterministic=True)
    assert action.shape == (3, 2)
    assert not np.allclose(action, again)
    single, _ = policy.predict(obs[0, 0], None, np.ones(1, bool), deterministic=True)
    assert policy.action_space.contains(single)


def test_discrete_actions_are_counted_as_the_space_counts_them():
    policy = TransformerPolicy(spaces.Box(-1, 1, (4,), np.float32), spaces.Discrete(3, start=5))
    action, _ = policy.predict(np.zeros((50, 4), np.float32))
    assert set(np.unique(action)) <= {5, 6, 7}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"layers": 13}, "1 to 12"),
        ({"width": 66}, "heads"),
        ({"context": 0}, "at least 1"),
        ({"positions": "sine"}, "known: rotary, learned"),
        ({"experts": 1}, "expected 2 to 64"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(config, message):
    with pytest.raises(OptionError, match=message):
        TransformerConfig(**config)
