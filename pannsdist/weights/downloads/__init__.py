"""Published weights: fetched, verified and kept on this machine."""
