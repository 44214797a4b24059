from .cloning import Demonstrations as Demonstrations
from .cloning import collect_demonstrations as collect_demonstrations
from .config import PPOConfig as PPOConfig
from .dagger import DAgger as DAgger
from .distillation import distill as distill
from .guard import DivergenceGuard as DivergenceGuard
from .guard import DivergenceWarning as DivergenceWarning
from .ppo import SequencePPO as SequencePPO
from .run import RunFolder as RunFolder
from .sac.algorithm import SequenceSAC as SequenceSAC
from .sac.config import SACConfig as SACConfig
from .saving import SettingNotSavedWarning as SettingNotSavedWarning

__all__ = [
    "DAgger",
    "Demonstrations",
    "DivergenceGuard",
    "DivergenceWarning",
    "PPOConfig",
    "RunFolder",
    "SACConfig",
    "SequencePPO",
    "SequenceSAC",
    "SettingNotSavedWarning",
    "collect_demonstrations",
    "distill",
]
