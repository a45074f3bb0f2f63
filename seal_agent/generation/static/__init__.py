"""Decoding on a GPU: fixed rows in fixed memory, so that a token of all rows is one replay and rows come and go."""
