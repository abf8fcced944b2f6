"""Readers and writers of weight file formats. None of them executes code from a file."""
