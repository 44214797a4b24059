from .agents import Mixture as Mixture
from .agents import SeatedAgent as SeatedAgent
from .agents import SeatedPair as SeatedPair
from .arena import Arena as Arena
from .config import LeagueConfig as LeagueConfig
from .equilibrium import cyclic_share as cyclic_share
from .equilibrium import exploitability as exploitability
from .equilibrium import nash_mixture as nash_mixture
from .games import DuelGames as DuelGames
from .games import Games as Games
from .games import PettingZooGames as PettingZooGames
from .league import League as League
from .population import Population as Population
from .tournament import Table as Table

__all__ = [
    "Arena",
    "DuelGames",
    "Games",
    "League",
    "LeagueConfig",
    "Mixture",
    "PettingZooGames",
    "Population",
    "SeatedAgent",
    "SeatedPair",
    "Table",
    "cyclic_share",
    "exploitability",
    "nash_mixture",
]
