"""Serving: a model folder over HTTP, on a page, and in a browser alone."""
