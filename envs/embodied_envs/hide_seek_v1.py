"""HideSeek in which a hider can win: more screens, the other is known by all of it, and both begin alike."""

from __future__ import annotations

from dataclasses import dataclass

from embodied.agent import Agent
from embodied.world.duel import Seat
from embodied_envs.duels import duel_entry_points
from embodied_envs.hide_seek import HideSeek, HideSeekOptions
from embodied_envs.opponents import Mover


@dataclass(frozen=True)
class HideSeekV1Options(HideSeekOptions):
    """As in `HideSeekOptions`, with other defaults."""

    screens: int = 7
    known_by: str = "robot"
    start: str = "alike"


class HideSeekV1(HideSeek):
    """+1 for the seeker that sees and reaches the hider in time, else −1; where the other is, is hidden from both."""

    def expert(self, seat: Seat) -> Agent:
        """The scripted seeker; a hider that moves at random, which among so many screens is found less often than the
        scripted one."""
        return Mover(seat.action_space.shape[0]) if seat.name == "hider" else self.scripted(seat)


make, make_vec, parallel_env = duel_entry_points(HideSeekV1, HideSeekV1Options, "hide_seek_v1")
