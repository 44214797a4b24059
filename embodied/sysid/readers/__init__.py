"""Logs as people have them, as tables of numbers."""
