"""Training: steps, epochs, evaluation, checkpoints."""
