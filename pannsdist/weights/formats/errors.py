"""Why a weight file is not read, and the translation of all of it into `BadWeightsFile` with the path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pannsdist.runtime.errors import BadWeightsFile, UserError
from pannsdist.runtime.foreign import excerpt, reason
from pannsdist.runtime.reading import cannot_read

READABLE = "supported: PyTorch .pth and .pt, Paddle .pdparams and .pdopt, .safetensors"
UNTRUSTED = "no code of the file was executed; save the state dict alone, or do not trust the origin of the file"


class ForbiddenName(Exception):
    """A name in a pickle that tensors do not need."""


class Refused(Exception):
    """A file that may be whole, and holds what no weights need or more than is read; another copy would not help."""


class Damaged(Exception):
    """A file that ends early, or whose parts contradict each other."""


@contextmanager
def translate_errors(path: Path, kind: str) -> Iterator[None]:
    """Context that translates any error into `BadWeightsFile`; `kind` is the assumed file format.

    Damaged bytes can raise almost any exception, so all are caught and chained. Only text that is short is printed:
    an exception can carry values of the file.
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
            f"{path} refers to '{excerpt(str(error))}'; only tensors are supported", UNTRUSTED
        ) from error
    except Refused as error:
        raise BadWeightsFile(f"{path} is not read as a {kind} file: {error}", UNTRUSTED) from error
    except Damaged as error:
        raise BadWeightsFile(f"{path} cannot be read as a {kind} file: {error}", "copy or download it again") from error
    except Exception as error:
        raise _damaged(path, kind, error) from error


def _damaged(path: Path, kind: str, error: Exception) -> BadWeightsFile:
    right = "copy or download it again; if it stays the same, save the state dict alone"
    return BadWeightsFile(f"{path} cannot be read as a {kind} file: {reason(error)}", right)
