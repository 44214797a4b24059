"""Sensor-honest MuJoCo worlds in which a robot must find something out, and small transformers that learn to."""

from embodied.renderer import choose_renderer

choose_renderer()
