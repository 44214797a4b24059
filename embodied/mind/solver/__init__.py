"""What beliefs are worth where a problem can be written out: its model, bounds, and plans that get better."""
