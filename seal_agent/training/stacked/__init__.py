"""The inner loop on a GPU: all slots of a bank in a fixed number of launches, captured as graphs where shapes recur."""
