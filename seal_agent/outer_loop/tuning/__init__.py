"""Tuning a recipe to a model: an archive of recipes that grows by mutation, after the Huxley-Gödel Machine."""
