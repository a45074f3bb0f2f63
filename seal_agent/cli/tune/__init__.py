"""`seal tune`."""
