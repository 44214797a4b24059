from .agent import Agent as Agent
from .agent import BelievingAgent as BelievingAgent
from .agent import MaskedAgent as MaskedAgent
from .agent import OccludedAgent as OccludedAgent
from .agent import OptionAgent as OptionAgent
from .agent import PartialAgent as PartialAgent
from .contract import Contract as Contract
from .hidden import Continuous as Continuous
from .hidden import Discrete as Discrete
from .hidden import Extras as Extras
from .layout import Channel as Channel
from .layout import Layout as Layout
from .version import __version__ as __version__

__all__ = [
    "Agent",
    "BelievingAgent",
    "Channel",
    "Continuous",
    "Contract",
    "Discrete",
    "Extras",
    "Layout",
    "MaskedAgent",
    "OccludedAgent",
    "OptionAgent",
    "PartialAgent",
    "__version__",
]
