"""Policies: networks for `SequencePPO`, and scripted players. Torch is imported only by those that need it."""

from embodied.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
