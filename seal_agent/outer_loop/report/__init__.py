"""Reports on a run: Markdown, HTML, and metrics for trackers."""
