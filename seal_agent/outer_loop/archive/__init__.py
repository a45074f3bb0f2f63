"""A run on disk: its ledger, its manifest, how far it is."""
