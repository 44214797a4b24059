"""HideSeek in which a hider can win: more screens, the other is known by all of it, and both begin alike."""

from __future__ import annotations

from dataclasses import dataclass

from embodied_envs.duels import duel_entry_points
from embodied_envs.hide_seek import HideSeek, HideSeekOptions


@dataclass(frozen=True)
class HideSeekV1Options(HideSeekOptions):
    """As in `HideSeekOptions`, with other defaults."""

    screens: int = 7
    known_by: str = "robot"
    start: str = "alike"


make, make_vec, parallel_env = duel_entry_points(HideSeek, HideSeekV1Options, "hide_seek_v1")
