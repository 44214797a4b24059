"""Hand-written players: uninformed (without finding out), heuristic (finding out first) and oracle (truth)."""
