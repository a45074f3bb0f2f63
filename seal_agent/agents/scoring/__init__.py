"""Scorers: who says whether a step of an agent is a good one, and how one that is learnt is trained and checked."""
