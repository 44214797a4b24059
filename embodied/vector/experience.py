"""What a learner or an evaluation sees of one step, whichever dialect an environment speaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Experience:
    """One step of N environments.

    Attributes:
        obs: what the next step starts from; the first observation of a new episode where `ended`.
        final_obs: what the step led to; equals `obs` except where `ended`.
        reward, terminated, truncated: `(N,)`.
        ignore: nothing is to be learned from this step, `(N,)`: the environment used it only to reset itself, its
            physics failed, or numbers in it were none.
        privileged, final_privileged: `hidden`, `state` and `shaping` that go with `obs` and `final_obs`;
            empty where the environment has none.
        success: `(N,)`, or None where the environment does not say.
        mask: which choices are allowed next, `(N, …)`, or None where nothing is ever forbidden.
        sampled_parameters: what each world was given in the episode of this step, `(N, k)`; None where worlds do not
            differ.
        void: the physics failed, and with it the whole episode that ends here counts for nothing, `(N,)`; one False for
            all where that cannot be.
        episode_return, episode_length: of episodes that ended with this step, as an environment itself counts them
            (`info["episode"]`, below wrappers that change rewards), `(N,)`; NaN elsewhere, None if it does not.
        unsound: numbers of `obs` are none and were replaced: nothing is to be learned from the next step either.
    """

    obs: Any
    final_obs: Any
    reward: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    privileged: dict[str, NDArray] = field(default_factory=dict)
    final_privileged: dict[str, NDArray] = field(default_factory=dict)
    success: NDArray[np.bool_] | None = None
    mask: NDArray[np.bool_] | None = None
    sampled_parameters: NDArray[np.float64] | None = None
    void: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((), bool))
    episode_return: NDArray[np.float64] | None = None
    episode_length: NDArray[np.float64] | None = None
    unsound: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((), bool))

    def counted(self, returns: NDArray, lengths: NDArray) -> tuple[NDArray, NDArray]:
        """Returns and lengths of episodes: as they were counted here, or, where it does, by the environment itself."""
        pairs = (returns, self.episode_return), (lengths.astype(float), self.episode_length)
        both = [own if told is None else np.where(np.isfinite(told), told, own) for own, told in pairs]
        return both[0], both[1]

    @property
    def ended(self) -> NDArray[np.bool_]:
        """Episodes that ended with this step, `(N,)`."""
        return self.terminated | self.truncated
