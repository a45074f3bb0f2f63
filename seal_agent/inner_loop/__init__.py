"""From notes to weights: encode a self-edit, train LoRA adapters on it."""
