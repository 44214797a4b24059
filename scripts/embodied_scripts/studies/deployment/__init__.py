"""Policies on robots, as studies: faults, time, and bodies that nobody declared."""
