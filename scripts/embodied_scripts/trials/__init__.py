"""What others made, damaged or killed: that everything is used, or refused in one line."""
