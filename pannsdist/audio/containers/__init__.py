"""What the bytes of a sound file say about its length, read without decoding: one module per family of containers."""
