"""What a robot is made of: sensors, cameras, actuators, timing, datasheets."""

from embodied.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
