"""Hand-written players: blind (without finding out), curious (finding out first) and oracle (told)."""
