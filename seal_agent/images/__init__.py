"""Image files, safely opened and as plain RGB pixels. Needs no model; Pillow is imported on first use."""
