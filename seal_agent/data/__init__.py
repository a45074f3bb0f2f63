"""Passages and their questions: bundled, SQuAD, JSON lines."""
