"""What a self-edit is worth."""
