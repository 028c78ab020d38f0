"""What a training step minimises: one file an objective, and the registry of their names."""
