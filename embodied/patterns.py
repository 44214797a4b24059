"""Patterns for names: `*` is anything, `?` is one character, and brackets are themselves."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def matches(name: str, pattern: str) -> bool:
    """Whether a name is meant by a pattern; a name means itself, whatever characters it has."""
    return name == pattern or fnmatchcase(name, pattern.replace("[", "[[]"))


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is meant by one of several patterns."""
    return any(matches(name, pattern) for pattern in patterns)
