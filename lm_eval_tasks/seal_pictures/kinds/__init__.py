"""The kinds of pictures, one file each: what is invented for one, and how it is drawn."""
