"""K adapters in one pass: storage of their weights, routing of tokens through them, attention in packed rows."""
