"""Readers and writers of weight files. None of them executes what a file brings."""
