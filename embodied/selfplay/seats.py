"""Two seats that see and do different things, as one policy of both sees and does them."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from embodied.errors import OptionError
from embodied.spaces import Codec, choices_of


class SeatViews:
    """What either seat sees as rows of D numbers, of which a seat that sees fewer leaves the last at 0.

    Raises:
        OptionError: one of the spaces cannot be observed.
    """

    def __init__(self, views: tuple[spaces.Space, spaces.Space]) -> None:
        self._codecs = [Codec(view) for view in views]
        self.size = max(codec.size for codec in self._codecs)
        low, high = np.zeros((2, self.size), np.float32), np.zeros((2, self.size), np.float32)
        for seat, codec in enumerate(self._codecs):
            for part in codec.parts:
                box = part.space
                known = (box.low.reshape(-1), box.high.reshape(-1)) if isinstance(box, spaces.Box) else (0.0, 1.0)
                low[seat, part.start : part.stop], high[seat, part.start : part.stop] = known
        self.space: spaces.Box = spaces.Box(low.min(axis=0), high.max(axis=0), dtype=np.float32)

    def rows(self, seat: int, views: Any) -> NDArray[np.float32]:
        """A batch of what a seat sees, `(N, D)`."""
        rows = self._codecs[seat].rows(views)
        return np.pad(rows, ((0, 0), (0, self.size - rows.shape[1])))


class SeatActions:
    """What either seat does as one space: the larger choice, or numbers from −1 to 1 for boxes that differ.

    Attributes:
        space: of a policy of both seats.
        exists: which of its choices each seat has, `(2, A)`; None where both have all.

    Raises:
        OptionError: one seat chooses and the other does not, or they choose unequally often.
    """

    def __init__(self, moves: tuple[spaces.Space, spaces.Space]) -> None:
        self._moves = moves
        self.exists: NDArray[np.bool_] | None = None
        self.space, self._same = moves[0], moves[0] == moves[1]
        if self._same:
            return
        first, second = (choices_of(space) for space in moves)
        if all(isinstance(space, spaces.Box) for space in moves):
            self.space = spaces.Box(-1.0, 1.0, (max(int(np.prod(space.shape or ())) for space in moves),), np.float32)
        elif type(moves[0]) is type(moves[1]) and len(first) == len(second) > 0:
            sizes = np.maximum(first, second)
            single = isinstance(moves[0], spaces.Discrete)
            self.space = spaces.Discrete(int(sizes[0])) if single else spaces.MultiDiscrete(sizes)
            has = [
                np.concatenate([np.arange(n) < k for n, k in zip(sizes, own, strict=True)]) for own in (first, second)
            ]
            self.exists = np.stack(has)
        else:
            raise OptionError(
                f"no policy plays both seats of a game in which one does {moves[0]}, the other {moves[1]}"
            )

    def own(self, seat: int, action: Any) -> Any:
        """The action of a policy as that of a seat."""
        move = self._moves[seat]
        if self._same:
            return action
        if isinstance(move, spaces.Box):
            low, high = (end.reshape(-1).astype(np.float64) for end in (move.low, move.high))
            unit = np.clip(np.asarray(action, np.float64)[: len(low)], -1, 1)
            return (low + (unit + 1) / 2 * (high - low)).reshape(move.shape).astype(move.dtype)
        assert isinstance(move, spaces.Discrete | spaces.MultiDiscrete)
        return action + move.start

    def placed(self, seat: int, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A seat's own mask among the choices of both, `(A,)`."""
        if self.exists is None:
            return mask
        all_places = np.zeros(self.exists.shape[1], bool)
        all_places[self.exists[seat]] = mask
        return all_places
