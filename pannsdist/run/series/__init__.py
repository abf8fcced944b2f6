"""Several runs by one command: the folds of a dataset, or a grid of settings. Each run is a process tree of its own."""
