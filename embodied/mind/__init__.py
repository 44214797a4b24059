"""Beliefs, information and planning; knows nothing of MuJoCo."""

from embodied.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
