"""A software twin: MuJoCo physics in real time behind a serial bus that speaks the protocol of the servos."""
