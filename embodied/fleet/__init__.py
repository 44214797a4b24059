"""Many robots, one base policy: what was learned apart is merged."""

from embodied.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
