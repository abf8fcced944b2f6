"""Start of a run: which processes, on what, and how they are watched."""
