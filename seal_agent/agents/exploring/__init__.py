"""Acting in environments: one agent, many tasks at once, several candidates for every step."""
