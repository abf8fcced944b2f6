"""Model folders on a hub: their addresses, the copies on this machine, and their checksums."""
