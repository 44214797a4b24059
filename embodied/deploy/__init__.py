"""The policy on a robot: one real-time loop, drivers, and a twin to try them on."""

from embodied.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
