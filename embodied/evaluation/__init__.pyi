from .agents import RandomAgent as RandomAgent
from .loop import Decision as Decision
from .loop import Observer as Observer
from .loop import play as play
from .loop import run as run
from .observers import Endings as Endings
from .observers import HistoryBelief as HistoryBelief
from .observers import LastBelief as LastBelief
from .observers import Returns as Returns
from .report import Report as Report
from .report import evaluate as evaluate

__all__ = [
    "Decision",
    "Endings",
    "HistoryBelief",
    "LastBelief",
    "Observer",
    "RandomAgent",
    "Report",
    "Returns",
    "evaluate",
    "play",
    "run",
]
