"""`seal train`."""
