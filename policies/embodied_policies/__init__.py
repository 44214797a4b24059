"""Policies: networks for `SequencePPO`, and scripted players. Torch is imported only by those that need it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
