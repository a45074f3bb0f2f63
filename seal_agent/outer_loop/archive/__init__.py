"""A run on disk: its ledger, its manifest, its progress."""
