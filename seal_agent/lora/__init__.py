"""LoRA adapters: values, target layers, and the routing of calls through them."""
