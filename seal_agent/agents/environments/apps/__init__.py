"""Small apps as text: settings, forms, a shop and a ticket desk. Deterministic, and in need of no package."""
