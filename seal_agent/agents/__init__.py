"""An agent that learns from what worked: environments, trajectories, scorers, and the training on both."""
