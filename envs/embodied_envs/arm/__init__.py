"""The arm SO-101, and what tasks with it on a table share."""
