"""`seal doctor`: what works here, and the line that mends what does not."""
