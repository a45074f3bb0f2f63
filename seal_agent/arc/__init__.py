"""Few-shot reasoning on ARC-AGI tasks: grids, what may be done to them, where tasks come from, how they look."""
