"""`seal arc …`."""
