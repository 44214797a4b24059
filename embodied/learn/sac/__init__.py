"""Soft actor-critic for policies that remember."""
