"""The inner loop: encode notes, train LoRA adapters on them, many in every pass."""
