"""Self-edits: the study notes that a model writes about a passage."""
