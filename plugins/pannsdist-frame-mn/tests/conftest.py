"""Imports paddle before any test does: Paddle 3.3.1 warns while it is imported, where ccache is missing."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paddle  # noqa: F401
