from .alignment import aligned as aligned
from .alignment import permutations_of as permutations_of
from .ensemble import Ensemble as Ensemble
from .merging import merge as merge

__all__ = ["Ensemble", "aligned", "merge", "permutations_of"]
