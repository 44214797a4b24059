"""Masses, friction and payloads of rigid arms from the torques of their joints."""

from embodied.sysid.inverse.estimate import Inverse, identify_inverse

__all__ = ["Inverse", "identify_inverse"]
