"""Where adapters live: plain PEFT folders on disk, and a ledger that says which revision is active."""
