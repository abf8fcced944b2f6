"""Arrays on disk that are costly to compute, such as embeddings: shared by processes and runs, bounded, verified.

Axes: none; an array has up to two, of any lengths.
"""
