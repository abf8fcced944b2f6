"""The libraries of stores: imported when a URL of theirs is used, named with their extra where they are missing."""

from __future__ import annotations

import importlib
import logging
import os
from typing import Any

from pannsdist.runtime.errors import UserError, shell_command

LIBRARY = {"s3": "s3fs", "gs": "gcsfs", "oss": "ossfs", "hf": "huggingface_hub", "modelscope": "modelscope_hub"}
"""By scheme, which is the name of the extra too. The web needs none; modelscope has models alone."""
CHATTY = ("botocore", "aiobotocore", "httpx", "httpx2", "modelscope_hub")
"""Loggers that report each request, with its whole address, and where credentials were found."""
S3_VARIABLES = "AWS_"
"""What the names of the variables begin with that say where and who S3 is."""
_opened: dict[tuple[Any, ...], Any] = {}


def library(scheme: str) -> Any:
    """The library of a store. Raises UserError where it is not installed."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return importlib.import_module(LIBRARY[scheme])
    except ImportError as error:
        wrong = f"to read {scheme}:// needs {LIBRARY[scheme]}, which cannot be imported ({error})"
        raise UserError(wrong, "", shell_command("pip", "install", f"pannsdist[{scheme}]")) from error


def file_system(scheme: str, **options: Any) -> Any:
    """The file system of fsspec for a scheme, one for each process: a fork would share its connections.

    Another endpoint or other credentials in the environment of a process are another file system of S3.
    """
    chosen = sorted(pair for pair in os.environ.items() if scheme == "s3" and pair[0].startswith(S3_VARIABLES))
    key = os.getpid(), scheme, tuple(chosen)
    if key not in _opened:
        library(scheme)
        import fsspec

        _opened[key] = fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False, **options)
    return _opened[key]
