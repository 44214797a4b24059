"""Embodied AI in simulation and sim2real: sensor-honest MuJoCo worlds, information gathering, small transformers."""

import os

from embodied.extras import attach_stub
from embodied.renderer import choose_renderer

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)

choose_renderer()
# Torch's OpenMP threads spin between operations and would take the cores from the physics threads; measured on two
# cores, a short spin makes rollouts about 15 % faster and leaves the update as it is. Read when torch is first loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
