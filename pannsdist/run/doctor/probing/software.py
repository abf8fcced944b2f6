"""What is installed here: read from metadata and from Paddle's version file; plugins are imported."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pannsdist
from pannsdist import settings
from pannsdist.registry import Catalog
from pannsdist.run.doctor.facts import Paddle, SettingsFile, Software
from pannsdist.run.doctor.wheel import PYPI_ARCHS, PYPI_CUDA, PYPI_VERSION
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.foreign import OF_THIS_PROCESS, excerpt
from pannsdist.settings.plain import flat

PADDLES = ("paddlepaddle", "paddlepaddle-gpu")
PACKAGES = ("numpy", "protobuf", "librosa", "soundfile", "soxr", "scipy")
"""Packages of which another version may give other samples, or break Paddle."""


LONGEST_VALUE = 1000


def software(catalog: Catalog | None = None) -> Software:
    """Python, Paddle, packages and plugins. Imports Paddle and every plugin; where Paddle fails, no plugin."""
    found, framework = catalog or Catalog.installed(), paddle()
    plugins, broken = {}, dict.fromkeys(found.problems, "its entry points cannot be read")
    for entry in found:
        name = f"{entry.kind} {entry.name}"
        plugins[name] = str(entry.origin)
        try:
            if not framework.fault:
                entry.load()
        except UserError as error:
            broken[name] = excerpt(error.wrong, 300)
    versions = {"pannsdist": pannsdist.__version__, **installed(PACKAGES)}
    return Software(platform.python_version(), framework, versions, plugins, broken)


def installed(names: Sequence[str]) -> dict[str, str]:
    """The versions of those of these distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def paddle() -> Paddle:
    """The installed Paddle by its version file, and why it cannot be imported, if so."""
    found = importlib.util.find_spec("paddle")
    if found is None or not found.origin:
        return Paddle(installed(PADDLES), fault="it is not installed")
    path = Path(found.origin).with_name("version") / "__init__.py"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return replace(of_version_file(text, installed(PADDLES)), fault=_import_fault())


def _import_fault() -> str:
    """What importing Paddle raises, such as the name of a library that is not there; empty if nothing."""
    try:
        import paddle  # noqa: F401
    except OF_THIS_PROCESS:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever its C++ side and its packages raise
        return f"{type(error).__name__}: {excerpt(str(error), 300)}"
    return ""


def of_version_file(text: str, distributions: Mapping[str, str]) -> Paddle:
    """What Paddle's version file says. That of 2.6 does not tell the machine code; the wheel of PyPI is known."""

    def value(name: str) -> str:
        line = re.search(rf"^{name}\s*=\s*'(.*)'", text, re.MULTILINE)
        return "" if line is None or line[1] in ("False", "0", "None") else line[1]

    archs: tuple[int, ...] | None = None
    listed = re.search(r"^compiled_cuda_archs\s*=\s*\[(.*)\]", text, re.MULTILINE)
    if listed:
        archs = tuple(map(int, re.findall(r"\d+", listed[1])))
    elif (value("full_version"), value("cuda_version")) == (PYPI_VERSION, PYPI_CUDA):
        archs = PYPI_ARCHS
    version, cuda, cudnn, nccl = (value(f"{name}_version") for name in ("full", "cuda", "cudnn", "nccl"))
    return Paddle(dict(distributions), version, cuda, cudnn, nccl, archs)


def settings_file(config: Path, overrides: Sequence[str]) -> SettingsFile:
    """Every key of the settings with its value; or what is wrong with them."""
    try:
        loaded, _ = settings.load(config, overrides)
    except UserError as error:
        return SettingsFile(str(config), {}, error.wrong, error.right or error.command)
    values = {key: str(value) for key, value in flat(settings.as_written(loaded)).items()}
    return SettingsFile(str(config), {key: _short(value) for key, value in values.items()})


def _short(text: str) -> str:
    """A value as it is, or the digest of a long one: enough to compare it."""
    return text if len(text) <= LONGEST_VALUE else f"sha256 {hashlib.sha256(text.encode()).hexdigest()}"
