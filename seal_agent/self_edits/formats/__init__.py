"""Self-edit formats that are derived sentence by sentence; one file each."""
