"""Saved policies and trainers: safetensors for numbers, JSON for the rest. Nothing that is loaded can run code."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from gymnasium import spaces
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from embodied.errors import CheckpointError
from embodied.files import DAMAGED, checked, one_line, read_json, write_json
from embodied.nn.generation import CARD, current, has_file, verify, write_generation

FORMAT = 2
LARGEST_SPACE = 3_000_000  # numbers; a larger space in a card is refused
KINDS = {
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint64, torch.uint32, torch.uint16, torch.uint8, torch.bool,
}  # fmt: skip
WEIGHTS, CONTRACT = "policy.safetensors", "contract"


class SavedPrivilege(msgspec.Struct):
    """Privileged information in a card (see `Privilege`)."""

    state: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_SPACE)]
    hidden: list[int | tuple[float, float, bool]]


class Card(msgspec.Struct):
    """What `policy.json` must hold."""

    format: int
    policy: str
    settings: dict[str, Any]
    privilege: SavedPrivilege
    observation_space: dict[str, Any]
    action_space: dict[str, Any]


def save_policy(
    folder: Path,
    policy: nn.Module,
    card: dict[str, Any],
    more: Mapping[str, Callable[[Path], None]] = MappingProxyType({}),
    obsolete: Collection[str] = (),
) -> None:
    """Writes `policy.safetensors` and `policy.json`, and more files, as one generation (see `write_generation`).

    A contract in the card is in the weights' metadata, too, so that weights that are passed on alone still say what
    they were promised.

    Raises:
        CheckpointError: the folder cannot be written to; what was saved there before is intact.
    """
    weights = {name: weight.contiguous() for name, weight in policy.state_dict().items()}
    metadata = {CONTRACT: json.dumps(card[CONTRACT])} if CONTRACT in card else None
    files = {WEIGHTS: lambda path: save_tensors(path, weights, metadata)}
    write_generation(folder, {"format": FORMAT, **card}, files | dict(more), obsolete)


def policy_folder(path: str | Path) -> Path:
    """Returns the folder of a saved policy: `path`, or what lies in it as `policy` where `path` is that of a run."""
    folder = Path(path)
    inner = folder / "policy"
    return inner if (inner / CARD).is_file() and not has_file(folder, WEIGHTS) else folder


def read_card(folder: Path) -> dict[str, Any]:
    """Reads `policy.json`.

    Raises:
        CheckpointError: there is none, or it is damaged, or of another format.
    """
    card = load_json(folder / CARD)
    if card.get("format") != FORMAT:
        raise CheckpointError(f"{folder / CARD} has format {card.get('format')!r}, this version reads {FORMAT}")
    checked(card, Card, f"the card in {folder} does not describe a policy", CheckpointError)
    return card


def load_weights(folder: Path, policy: nn.Module) -> None:
    """Loads `policy.safetensors` into a network of the same architecture.

    Raises:
        CheckpointError: the file is missing, damaged, or belongs to another architecture.
    """
    tensors = load_tensors(current(folder, WEIGHTS))
    try:
        policy.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{folder / WEIGHTS} does not fit its card: {error}") from error
    verify(folder, [WEIGHTS])


def describe_space(space: spaces.Space) -> dict[str, Any]:
    """Returns a JSON description of a space, enough to build it again."""
    if isinstance(space, spaces.Box):
        bounds = {side: _bound(getattr(space, side)) for side in ("low", "high")}
        return {"kind": "Box", "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
    if isinstance(space, spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"kind": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.shape)}
    if isinstance(space, spaces.Dict):
        return {"kind": "Dict", "spaces": {key: describe_space(inner) for key, inner in space.spaces.items()}}
    if isinstance(space, spaces.Tuple):
        return {"kind": "Tuple", "spaces": [describe_space(inner) for inner in space.spaces]}
    raise CheckpointError(f"spaces of {type(space).__name__} cannot be saved")


def build_space(description: dict[str, Any]) -> spaces.Space:
    """Builds a space from its description.

    Raises:
        CheckpointError: the description is not one.
    """
    try:
        if (numbers := _numbers_in(description)) > LARGEST_SPACE:
            raise ValueError(f"{numbers} numbers are more than {LARGEST_SPACE}")
        return _BUILDERS[description["kind"]](description)
    except (*DAMAGED, AssertionError, RecursionError) as error:
        raise CheckpointError(f"a saved space cannot be understood: {one_line(error)}") from error


def _numbers_in(description: dict[str, Any]) -> int:
    """How many numbers a described space has, without building it."""
    inner = description.get("spaces")
    if inner is not None:
        return sum(map(_numbers_in, inner.values() if isinstance(inner, dict) else inner))
    if description["kind"] == "Box":
        return math.prod(map(int, description["shape"]))
    sizes: Any = description.get("n", description.get("nvec"))
    return int(np.prod(sizes) if description["kind"] == "MultiBinary" else np.sum(sizes))


def check_spaces(card: dict[str, Any], observation: spaces.Space, action: spaces.Space, env: str) -> None:
    """Refuses a policy that was made for other observations or actions.

    Raises:
        CheckpointError: they differ; the message says how.
    """
    for name, space in (("observation_space", observation), ("action_space", action)):
        saved = build_space(card[name])
        if saved != space:
            differ = f"{saved.shape}, but {env} has {space.shape}"
            if saved.shape == space.shape:
                differ = one_line(f"{saved}, but {env} has {space}")
            raise CheckpointError(
                f"this policy was trained on {card.get('env', {}).get('id', 'another environment')} with "
                f"{name} {differ}; use it on the environment it was trained on"
            )


def refuse_no_numbers(tensors: Mapping[str, Tensor], what: str) -> None:
    """Refuses tensors of which some are no numbers; `what` begins the message.

    Raises:
        CheckpointError: it names them.
    """
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(f"{what}: {', '.join(broken[:3])}")


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Writes a safetensors file in one move, with words in its head.

    Raises:
        CheckpointError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        save_file(tensors, part, metadata)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be written: {one_line(error)}") from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a safetensors file.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    _check_exists(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, RecursionError, *DAMAGED) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file: {one_line(error)}") from error
    for name, tensor in tensors.items():
        if tensor.dtype not in KINDS:
            raise CheckpointError(f"{path} is damaged: {name} holds numbers of {tensor.dtype}")
    return tensors


def save_json(path: Path, data: dict[str, Any]) -> None:
    """Writes JSON in one move.

    Raises:
        CheckpointError: it cannot be written.
    """
    try:
        write_json(path, data)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror or error}") from None


def load_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    _check_exists(path)
    data = read_json(path, CheckpointError)
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} does not hold a JSON object")
    return data


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; is {path.parent} the folder of a run that was saved?")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Returns the optimizer's moments as named tensors."""
    state = optimizer.state_dict()["state"]
    return {
        f"{i}.{key}": torch.as_tensor(value).contiguous() for i, entry in state.items() for key, value in entry.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Gives the optimizer its moments back.

    Raises:
        CheckpointError: they are not this optimizer's.
    """
    state: dict[int, dict[str, Tensor]] = {}
    try:
        for name, value in tensors.items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        for number, entry in state.items():
            shapes = {value.shape for key, value in entry.items() if key != "step"}
            if shapes != {weights[number].shape}:
                raise ValueError(f"moments of weight {number} are of another shape")
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    except (ValueError, KeyError, IndexError) as error:
        raise CheckpointError(f"the saved optimizer does not fit the policy: {error}") from error


def _build_box(description: dict[str, Any]) -> spaces.Box:
    dtype = np.dtype(str(description["dtype"]))
    if dtype.kind not in "fiub":
        raise ValueError(f"a Box of {dtype} is none")
    shape = tuple(map(int, description["shape"]))
    low, high = (np.broadcast_to(_unlisted(description[side]), shape).astype(dtype) for side in ("low", "high"))
    return spaces.Box(low, high, shape, dtype.type)


_BUILDERS: dict[str, Callable[[dict[str, Any]], spaces.Space]] = {
    "Box": _build_box,
    "Discrete": lambda d: spaces.Discrete(int(d["n"]), start=int(d["start"])),
    "MultiDiscrete": lambda d: spaces.MultiDiscrete(np.array(d["nvec"], int), start=np.array(d["start"], int)),
    "MultiBinary": lambda d: spaces.MultiBinary(d["n"] if isinstance(d["n"], int) else [int(n) for n in d["n"]]),
    "Dict": lambda d: spaces.Dict({str(key): build_space(inner) for key, inner in d["spaces"].items()}),
    "Tuple": lambda d: spaces.Tuple([build_space(inner) for inner in d["spaces"]]),
}


def _bound(array: np.ndarray) -> Any:
    """One number where all are the same, else a nested list."""
    if not array.size:
        return 0.0
    return _listed(array if (array != array.flat[0]).any() else array.flat[:1].reshape(()))


def _listed(array: np.ndarray) -> Any:
    """A nested list; infinities become strings, which JSON can hold."""
    return np.vectorize(lambda x: float(x) if np.isfinite(x) else str(x), otypes=[object])(array).tolist()


def _unlisted(data: Any) -> np.ndarray:
    return np.asarray(data, dtype=object).astype(np.float64)
