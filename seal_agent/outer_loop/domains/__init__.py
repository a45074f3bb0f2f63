"""What the outer loop learns about: passages, puzzles."""
