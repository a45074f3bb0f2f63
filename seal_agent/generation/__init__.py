"""Text generation in which every row of a batch may use its own adapter."""
