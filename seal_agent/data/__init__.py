"""Contexts and their questions: bundled, from SQuAD, and from JSON lines."""
