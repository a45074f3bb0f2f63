"""Rewards of self-edits: by questions, by a judge of the text, or by the model's own votes."""
