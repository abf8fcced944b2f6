"""Gathers the facts of this node. Nothing here judges them, and no probe raises for what it finds."""
