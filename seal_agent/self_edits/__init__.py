"""Self-edits: the notes that a model writes about a passage."""
