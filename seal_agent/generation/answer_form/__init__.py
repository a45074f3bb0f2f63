"""The form of an answer, whoever asks for it: tools that may or must be called, a schema, or free text."""
