"""ChatSeal, the chat model."""
