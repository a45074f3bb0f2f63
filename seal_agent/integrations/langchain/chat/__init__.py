"""ChatSeal: the chat model."""
