"""Settings become a checked plan before anything is built."""
