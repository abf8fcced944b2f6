"""Checks of one node: each is a function from facts to findings, and looks at nothing else."""
