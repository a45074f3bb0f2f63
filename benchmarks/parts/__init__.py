"""What several benchmarks share, and the long ones in parts."""
