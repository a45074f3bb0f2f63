"""Text generation where every row of a batch may use its own adapter."""
