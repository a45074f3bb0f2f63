"""Benchmarks: suites, results with a published schema, statistics, and the leaderboard site."""
