"""Knowledge incorporation: write notes about a passage, ask about it without it, grade the answers."""
