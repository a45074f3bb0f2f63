"""Borders with other projects, one module each; nothing in the package imports them."""
