"""What the commands about real robots, and their twins, do."""
