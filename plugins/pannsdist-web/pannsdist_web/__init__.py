"""The files of onnxruntime-web that run a network in a browser: `runtime/` and its licence, beside this module."""

VERSION = "1.30.0"
"""Of onnxruntime-web."""
