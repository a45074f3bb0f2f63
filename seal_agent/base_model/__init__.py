"""The base model: where its weights come from, how prompts are rendered, which model it is."""
