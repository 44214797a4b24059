"""The returns of the episodes that a training met, as a curve."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

POINTS = 50


class EpisodesMet(BaseCallback):
    """Writes down the return of every episode that ends while training, and after how many steps it did."""

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[tuple[int, float]] = []

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        self._ends += [(self.num_timesteps, info["episode"]["r"]) for info in infos if "episode" in info]
        return True

    def curve(self) -> list[tuple[int, float]]:
        """Mean returns of the episodes that ended in each of `POINTS` equal parts of the training, if any did."""
        if not self._ends:
            return []
        steps, returns = np.array(self._ends).T
        width = self.num_timesteps / POINTS
        part = np.minimum(steps / width, POINTS - 1).astype(int)
        return [(round((i + 0.5) * width), round(float(returns[part == i].mean()), 4)) for i in np.unique(part)]
