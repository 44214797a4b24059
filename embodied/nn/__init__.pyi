from .agent import NetworkAgent as NetworkAgent
from .config import NetworkConfig as NetworkConfig
from .core import Core as Core
from .onnx import export_onnx as export_onnx
from .onnx_agent import OnnxAgent as OnnxAgent
from .output import Introspection as Introspection
from .output import PolicyOutput as PolicyOutput
from .policy import SequencePolicy as SequencePolicy
from .policy import load_policy as load_policy
from .policy import policy_class as policy_class
from .privilege import Privilege as Privilege

__all__ = [
    "Core",
    "Introspection",
    "NetworkAgent",
    "NetworkConfig",
    "OnnxAgent",
    "PolicyOutput",
    "Privilege",
    "SequencePolicy",
    "export_onnx",
    "load_policy",
    "policy_class",
]
