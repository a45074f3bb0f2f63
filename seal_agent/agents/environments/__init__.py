"""Where an agent acts: tasks, tools, observations, and a verdict that is read from the state."""
