"""Sentences, words, numbers and spelling; needs no model."""
