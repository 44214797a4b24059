from .batch import Batch as Batch
from .loading import read_model as read_model
from .loading import read_spec as read_spec
from .render import WorldRenderer as WorldRenderer
from .targets import Target as Target
from .targets import find_targets as find_targets
from .threads import default_threads as default_threads

__all__ = [
    "Batch",
    "Target",
    "WorldRenderer",
    "default_threads",
    "find_targets",
    "read_model",
    "read_spec",
]
