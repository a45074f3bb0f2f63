"""Trajectories: what an agent saw and did, whether it succeeded, and who says so."""
