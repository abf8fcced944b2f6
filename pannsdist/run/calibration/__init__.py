"""Fits what a model decides on clips that it did not train on, and writes it into its folder."""
