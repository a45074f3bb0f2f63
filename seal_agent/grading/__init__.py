"""Is an answer right? Graders behind one small protocol."""
