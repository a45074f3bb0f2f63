"""Answers: what an adapter recalls, the few words of it that were asked for, and whether it was ever learnt."""
