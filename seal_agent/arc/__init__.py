"""Few-shot reasoning on ARC-AGI tasks: grids, augmentations, data, test-time training, predictions, pictures."""
