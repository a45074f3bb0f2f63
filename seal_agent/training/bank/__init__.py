"""K adapters in one pass: where their weights lie, how tokens reach them, attention in packed rows."""
