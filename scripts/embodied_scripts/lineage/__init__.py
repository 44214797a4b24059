"""What `embodied lineage` does."""
