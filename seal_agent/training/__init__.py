"""The inner loop: encodes notes and trains LoRA adapters on them, many adapters per pass."""
