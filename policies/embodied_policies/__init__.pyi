from .gru import GRUPolicy as GRUPolicy
from .mixture import MixturePolicy as MixturePolicy
from .mixture import compose as compose
from .mlp import MlpPolicy as MlpPolicy
from .option_policy import OptionPolicy as OptionPolicy
from .option_policy import OptionPolicyAgent as OptionPolicyAgent
from .proactive import ProactiveAgent as ProactiveAgent
from .tracking import TrackingAgent as TrackingAgent
from .transformer import TransformerPolicy as TransformerPolicy

__all__ = [
    "GRUPolicy",
    "MixturePolicy",
    "MlpPolicy",
    "OptionPolicy",
    "OptionPolicyAgent",
    "ProactiveAgent",
    "TrackingAgent",
    "TransformerPolicy",
    "compose",
]
