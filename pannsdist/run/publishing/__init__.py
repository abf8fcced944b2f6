"""Publishing a model folder: what leaves the machine, the model card, and where it goes."""
