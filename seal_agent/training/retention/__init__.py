"""Retention: keeps other knowledge intact while an adapter is trained."""
