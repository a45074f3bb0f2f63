"""One file for each self-edit format that is made sentence by sentence."""
