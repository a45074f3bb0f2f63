"""Pictures: read from files, bytes and PIL images, within limits, as RGB pixels."""
