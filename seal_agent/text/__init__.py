"""Sentences, words, numbers and spelling. Needs no model."""
