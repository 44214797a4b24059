"""Policies: networks for `SequencePPO`, and scripted players. Torch is imported only by those that need it."""

from importlib import import_module
from typing import Any

_HOMES = {"TransformerPolicy": "transformer", "GRUPolicy": "gru", "MLPPolicy": "mlp", "MixturePolicy": "mixture"}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"embodied_policies.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'embodied_policies' has no attribute {name!r}; it has: {', '.join(_HOMES)}")


def register() -> None:
    """Imports every network, so that saved policies of their classes can be loaded."""
    for home in _HOMES.values():
        import_module(f"embodied_policies.{home}")
