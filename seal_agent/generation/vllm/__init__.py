"""vLLM as an engine: in this process, or behind the address of a running server."""
