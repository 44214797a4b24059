from .duel import Duel as Duel
from .duel import DuelEnv as DuelEnv
from .duel import DuelTask as DuelTask
from .duel import Seat as Seat
from .duel import Versus as Versus
from .env import BatchEnv as BatchEnv
from .evidence import Evidence as Evidence
from .imagination import Imagination as Imagination
from .problem import TaskProblem as TaskProblem
from .replay import ReplayPlant as ReplayPlant
from .single import SingleEnv as SingleEnv
from .task import Draw as Draw
from .task import Outcome as Outcome
from .task import Task as Task
from .task import World as World

__all__ = [
    "BatchEnv",
    "Draw",
    "Duel",
    "DuelEnv",
    "DuelTask",
    "Evidence",
    "Imagination",
    "Outcome",
    "ReplayPlant",
    "Seat",
    "SingleEnv",
    "Task",
    "TaskProblem",
    "Versus",
    "World",
]
