"""Where units of work are evaluated: in this process, or on a Ray cluster."""
