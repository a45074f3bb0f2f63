"""The outer loop of an agent: explore, verify, learn, refresh; in the same run folders as that of self-edits."""
