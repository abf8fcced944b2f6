"""Losses, optimizers, learning rate schedules, mixed precision, freezing, weight averages."""
