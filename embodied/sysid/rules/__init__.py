"""What real logs do, a rule for each."""
