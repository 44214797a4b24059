"""How an agent improves, and how that is measured."""

import os

# Torch's OpenMP threads spin between operations and would take the cores from the physics threads; measured on two
# cores, a short spin makes rollouts about 15 % faster and leaves the update as it is. Read when torch is first loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
