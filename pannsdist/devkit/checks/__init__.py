"""The conformance checks, one module per kind of plugin."""
