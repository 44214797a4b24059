"""Planning with options, whose outcomes are simulated when they are asked for."""
