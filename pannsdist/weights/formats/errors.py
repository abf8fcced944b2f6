"""Translation of reader errors into `BadWeightsFile` with the path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pannsdist.runtime.errors import BadWeightsFile, UserError
from pannsdist.runtime.reading import cannot_read

READABLE = "supported: PyTorch .pth and .pt, Paddle .pdparams and .pdopt, .safetensors"


class ForbiddenName(Exception):
    """A name in a pickle that tensors do not need."""


@contextmanager
def translate_errors(path: Path, kind: str) -> Iterator[None]:
    """Context that translates any error into `BadWeightsFile`; `kind` is the assumed file format.

    Damaged bytes can raise almost any exception (zipfile alone: seven types), so all are caught and chained.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise BadWeightsFile(f"no weight file at {path}", "check the path, or download the weights first") from error
    except (PermissionError, IsADirectoryError) as error:
        raise BadWeightsFile(f"{path} cannot be read: {error.strerror}", "give a readable file") from error
    except OSError as error:
        if error.errno is None:  # the libraries' word for a damaged file
            raise _damaged(path, kind, error) from error
        said = cannot_read(path, error)
        raise BadWeightsFile(said.wrong, said.right, said.command) from error
    except ForbiddenName as error:
        raise BadWeightsFile(
            f"{path} refers to '{error}'; only tensors are supported",
            "no code of the file was executed; save the state dict alone, or do not trust the origin of the file",
        ) from error
    except Exception as error:
        raise _damaged(path, kind, error) from error


def _damaged(path: Path, kind: str, error: Exception) -> BadWeightsFile:
    reason = str(error)[:200] or type(error).__name__
    return BadWeightsFile(f"{path} cannot be read as a {kind} file: {reason}", "copy or download it again")
