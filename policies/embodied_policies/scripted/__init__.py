"""Hand-written players: blind (without finding out), heuristic (finding out first) and oracle (truth)."""
