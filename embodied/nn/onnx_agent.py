"""An exported policy as an agent, run by onnxruntime: no torch, a few megabytes, a fraction of a millisecond."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import CheckpointError, OptionError
from embodied.extras import advice
from embodied.files import DAMAGED, one_line, read_json
from embodied.spaces import MASK

LARGEST = 100_000_000  # numbers of a memory; a larger one is refused
Carry = list[dict[str, NDArray]]


class OnnxAgent:
    """Acts as the exported policy does; observations are rows of numbers `(n, dim)`.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        CheckpointError: the file, or the card beside it, is missing or damaged.

    Attributes:
        allowed: which choices are allowed, `(n, …)`; to be set before `act` where some are forbidden at times.
    """

    def __init__(self, path: str | Path) -> None:
        with advice():
            import onnxruntime
        path = Path(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the network is small: more threads only wait for each other
        try:
            self.card: dict[str, Any] = read_json(
                path.with_suffix(".json"), CheckpointError, "holds no exported policy"
            )
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            if any(math.prod(d["shape"]) > LARGEST for d in self.card["memory"].values()):
                raise ValueError("its memory is too large")
            self._memory = {
                name: np.full(d["shape"], d["initial"], np.dtype(d["dtype"])) for name, d in self.card["memory"].items()
            }
        except (*DAMAGED, RecursionError, onnxruntime.capi.onnxruntime_pybind11_state.Fail,
                onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf,
                onnxruntime.capi.onnxruntime_pybind11_state.NoSuchFile) as error:  # fmt: skip
            raise CheckpointError(f"{path} holds no exported policy: {one_line(error)}") from error
        self._belief: NDArray | None = None
        self._places = int(self.card.get("choices", 0))
        self.allowed: NDArray | None = None

    def initial(self, n: int, seed: int) -> Carry:
        """Returns `n` empty memories."""
        return [{name: value.copy() for name, value in self._memory.items()} for _ in range(n)]

    def act(self, carry: Carry, obs: NDArray, first: NDArray) -> tuple[Carry, NDArray]:
        """Reads observations `(n, dim)` and returns actions `(n, …)`."""
        masks = self._masks(len(first))
        steps = [self._step(*one) for one in zip(carry, obs, first, masks, strict=True)]
        self._belief = np.stack([belief for _, _, belief in steps])
        return [memory for memory, _, _ in steps], np.stack([action for _, action, _ in steps])

    def belief(self, carry: Carry) -> NDArray | None:
        """Probabilities of the hidden variable, `(n, k)`, at the last step; None without a belief head."""
        return self._belief if self._belief is not None and self._belief.shape[1] else None

    def _masks(self, n: int) -> NDArray[np.bool_]:
        """Which choices are allowed, `(n, places)`."""
        if self.allowed is not None and self._places:
            return np.asarray(self.allowed, bool).reshape(n, self._places)
        if self.card["settings"].get("masked", False):
            raise OptionError("this policy learned where some choices were forbidden: set `allowed` before it acts")
        return np.ones((n, self._places), bool)

    def _step(
        self, memory: dict[str, NDArray], row: NDArray, start: bool, mask: NDArray[np.bool_]
    ) -> tuple[dict[str, NDArray], Any, NDArray]:
        inputs = {"row": np.asarray(row, np.float32)[None], "first": np.array([start])} | memory
        if self._places:
            inputs[MASK] = mask[None]
        action, belief, *after = self._session.run(None, inputs)
        action = action[0]
        if self.card["action_space"]["kind"] == "Discrete":
            action = action[0]
        elif self.card["action_space"]["kind"] == "Box":
            action = action.reshape(self.card["action_space"]["shape"])
        return dict(zip(memory, after, strict=True)), action, belief[0]
