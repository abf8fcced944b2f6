"""One HTML page about a run, which needs nothing beside itself: no network, no script, no other file."""
