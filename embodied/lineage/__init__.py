"""Where a model comes from: records of origin, signatures, and who is trusted to make them."""

from embodied.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
