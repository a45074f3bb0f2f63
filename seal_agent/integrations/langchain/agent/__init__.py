"""Tools and middleware by which an agent learns."""
