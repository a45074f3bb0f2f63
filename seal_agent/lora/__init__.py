"""LoRA adapters: their values, the layers they touch, and how a call is routed through them."""
