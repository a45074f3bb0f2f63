"""The leaderboard: a static site that works from a folder, and Markdown tables."""
