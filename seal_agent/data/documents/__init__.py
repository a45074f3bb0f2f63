"""Documents as titled sections, read from files of several kinds."""
