"""Results in the formats of other boards."""
