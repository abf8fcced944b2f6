"""One way out for every failure of a reader: `BadWeightsFile` with the path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pannsdist.runtime.errors import BadWeightsFile, UserError

READABLE = "read are: PyTorch .pth and .pt, Paddle .pdparams and .pdopt, .safetensors"


class ForbiddenName(Exception):
    """A name that a pickle asks for and that no tensor needs."""


@contextmanager
def refusing(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into `BadWeightsFile`; `kind` says what the file was taken for.

    Damaged bytes can raise almost anything below (zipfile alone: seven types), so everything is caught, and kept as
    the cause.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise BadWeightsFile(f"no weight file at {path}", "check the path, or download the weights first") from error
    except (PermissionError, IsADirectoryError) as error:
        raise BadWeightsFile(f"{path} cannot be read: {error.strerror}", "give a file that you may read") from error
    except ForbiddenName as error:
        raise BadWeightsFile(
            f"{path} asks for '{error}'; only tensors are read",
            "nothing in the file was run; save the state dict alone, or do not trust where the file came from",
        ) from error
    except Exception as error:
        reason = str(error)[:200] or type(error).__name__
        raise BadWeightsFile(
            f"{path} cannot be read as a {kind} file: {reason}", "copy or download it again"
        ) from error
