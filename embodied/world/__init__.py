"""A task as Gymnasium, PettingZoo and a planner see it."""

from embodied.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
