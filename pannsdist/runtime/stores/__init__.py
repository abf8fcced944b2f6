"""Objects of other machines, by URL: their state, their bytes in blocks, and lists of them.

No store is imported before a URL is used. Errors are OSError: FileNotFoundError and PermissionError are final answers
about one object, every other one is about the store.
"""
