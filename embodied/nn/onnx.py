"""A policy as ONNX, with its memory as explicit inputs and outputs: to be run by onnxruntime, without torch."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from embodied.extras import advice
from embodied.nn.heads import ChoiceHead, GaussianHead
from embodied.nn.policy import SequencePolicy
from embodied.spaces import MASK

CARD_SUFFIX = ".json"


class _Step(nn.Module):
    """One deterministic decision: row of observations, start flag and memory in; action, belief and memory out."""

    def __init__(self, policy: SequencePolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, row: Tensor, first: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        policy = self.policy
        mask, memory = (more[0], list(more[1:])) if policy.action_head.mask_size else (None, list(more))
        x = policy.encoder(row)
        if policy.previous_action is not None:
            x = x + policy.previous_action(memory.pop().masked_fill(first[:, None], 0.0))
        features, *memory_after = policy.core.pure_step(x, first, *memory)
        belief = None
        if policy.belief_head is not None:
            belief = policy.belief_layout.probabilities(policy.belief_head(features))
        beliefs = row.new_zeros(1, 0) if belief is None else belief
        action, done = _chosen(policy.action_head, features, mask)
        if policy.previous_action is not None:
            memory_after.append(done)
        return (action, beliefs, *memory_after)


def export_onnx(policy: SequencePolicy, path: str | Path, about: Mapping[str, Any] = MappingProxyType({})) -> Path:
    """Writes `path` (.onnx) and beside it a card (.json) that says what goes in and out.

    Args:
        about: more for the card, such as the environment and the contract that the policy was trained with.

    Raises:
        MissingExtraError: the packages onnx and onnxscript are not installed.
    """
    with advice():
        import onnxscript  # noqa: F401
    path = Path(path)
    policy = copy.deepcopy(policy).to("cpu").eval()
    memory = policy.memories.tensors(policy.initial(1))
    places = policy.action_head.mask_size
    mask = {MASK: torch.ones(1, places, dtype=torch.bool)} if places else {}
    inputs = ["row", "first", *mask, *memory]
    outputs = ["action", "belief", *(f"{name}_after" for name in memory)]
    example = (torch.zeros(1, policy.codec.size), torch.ones(1, dtype=torch.bool), *mask.values(), *memory.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    with _quiet_exporter():
        names: Any = {"input_names": inputs, "output_names": outputs}
        torch.onnx.export(_Step(policy), example, str(path), dynamo=True, external_data=False, verbose=False, **names)
    card: dict[str, Any] = (
        policy.card() | dict(about) | {"memory": {name: _describe(value) for name, value in memory.items()}}
    )
    card["choices"] = places
    path.with_suffix(CARD_SUFFIX).write_text(json.dumps(card, indent=1))
    return path


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter warns about its own ways, and about packages that nothing here needs."""
    chatter = logging.getLogger("torch.onnx")
    before = chatter.level
    chatter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        chatter.setLevel(before)


def _chosen(head: GaussianHead | ChoiceHead, features: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The most likely action: as the environment takes it, flat, `(1, …)`, and as a network reads it."""
    if isinstance(head, ChoiceHead):
        choice = head.mode(head(features, mask))
        return choice + torch.as_tensor(head.start), head.as_input(choice)
    done = head.decided(features)
    action = head.scaled(done)
    return (action.float() if head.space.dtype.kind == "f" else action.round()), done


def _describe(value: Tensor) -> dict[str, Any]:
    fill = value.flatten()[0].item() if value.numel() else 0
    return {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch."), "initial": fill}
