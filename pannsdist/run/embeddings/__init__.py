"""Embeddings, the inputs of a network's head: what identifies them, and batches of them for a frozen body."""
