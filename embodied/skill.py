"""What takes a while and is decided upon as a whole: drive to, look at, push, commit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from embodied.agent import Agent
from embodied.errors import OptionError


@dataclass(frozen=True)
class Skill:
    """An agent that is left to act for some time; whenever it is taken up, it begins anew.

    Attributes:
        agent: acts on observations alone.
        seconds: after which something else may be decided; without end, it goes on until the episode is over.

    Raises:
        OptionError: no time at all.
    """

    agent: Agent
    seconds: float = math.inf

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise OptionError(f"a skill takes longer than {self.seconds} s")
