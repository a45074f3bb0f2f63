"""Agents that act in environments: their trajectories, how they explore, and who scores them."""
