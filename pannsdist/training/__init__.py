"""Epochs, steps, scores and what is kept of them."""
