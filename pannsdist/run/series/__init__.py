"""Several runs started by one command: cross-validation folds or a grid of settings, each run in its own processes."""
