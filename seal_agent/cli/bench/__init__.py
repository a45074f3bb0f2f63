"""`seal bench`, `seal leaderboard` and `seal submit`."""
