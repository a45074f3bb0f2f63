"""Domains of the outer loop: what its contexts are."""
