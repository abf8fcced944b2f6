"""Python, Paddle and what it needs beside it, plugins, and the settings file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pannsdist.run.doctor.facts import Facts, Paddle, SettingsFile, Software
from pannsdist.run.doctor.finding import Finding, error, ok, unknown, warning
from pannsdist.runtime.errors import shell_command

PYTHONS = ((3, 10), (3, 13))
OLDEST, ABOVE = (2, 6, 2), (4,)
TESTED = ("2.6.2", "3.3.1")
BELOW_FOR_26 = {"numpy": 2, "protobuf": 7}
"""Packages whose first version that breaks fleet of Paddle 2.6 is this one."""
REINSTALL = "python -m pip install --force-reinstall --no-deps"


def check(facts: Facts) -> Iterator[Finding]:
    """Findings about what is installed and about the settings file."""
    software = facts.software
    yield _python(software.python)
    yield _paddle(software.paddle)
    if numbers(software.paddle.version)[:2] == (2, 6):
        yield from _packages_for_26(software.packages)
    yield _plugins(software)
    if facts.settings is not None:
        yield _settings(facts.settings)


def numbers(version: str) -> tuple[int, ...]:
    """(3, 3, 1) for `3.3.1.post1`; empty for what is no version."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _python(version: str) -> Finding:
    lowest, highest = (".".join(map(str, one)) for one in PYTHONS)
    if PYTHONS[0] <= numbers(version)[:2] <= PYTHONS[1]:
        return ok("Python", version)
    return error("Python", f"{version}; Paddle has wheels for {lowest} to {highest}", f"install Python {highest}")


def _paddle(paddle: Paddle) -> Finding:
    name, seen = "Paddle", _described(paddle)
    if not paddle.version:
        return error(
            name, "not installed", shell_command("python", "-m", "pip", "install", f"paddlepaddle=={TESTED[-1]}")
        )
    if len(paddle.distributions) > 1:
        both = " and ".join(f"{one} {version}" for one, version in paddle.distributions.items())
        return error(name, f"{both} are both installed, into one folder", _without_one(paddle))
    if paddle.fault:
        return error(name, f"{seen}; it cannot be imported: {paddle.fault}", _again(paddle))
    if not OLDEST <= numbers(paddle.version) < ABOVE:
        right = shell_command("python", "-m", "pip", "install", f"paddlepaddle=={TESTED[-1]}")
        return error(name, f"{seen}; pannsdist needs 2.6.2 or newer, below 4", right)
    if paddle.version not in TESTED:
        tested = " and ".join(TESTED)
        return warning(name, f"{seen}; pannsdist is tested with {tested}", f"use one of {tested} if something fails")
    return ok(name, seen)


def _described(paddle: Paddle) -> str:
    built = f"GPU wheel, CUDA {paddle.cuda}" if paddle.is_for_gpus else "CPU wheel"
    libraries = {"cuDNN": paddle.cudnn, "NCCL": paddle.nccl} if paddle.is_for_gpus else {}
    return ", ".join([f"{paddle.version}, {built}", *(f"{key} {value}" for key, value in libraries.items() if value)])


def _without_one(paddle: Paddle) -> str:
    """The commands that leave the distribution whose files are there."""
    kept = "paddlepaddle-gpu" if paddle.is_for_gpus else "paddlepaddle"
    removed = shell_command("python", "-m", "pip", "uninstall", "-y", *paddle.distributions)
    again = shell_command("python", "-m", "pip", "install", f"{kept}=={paddle.distributions.get(kept, paddle.version)}")
    return f"{removed} && {again}"


def _again(paddle: Paddle) -> str:
    """The command that installs the same version once more, with what it needs."""
    names = paddle.distributions or {"paddlepaddle": paddle.version}
    wanted = [f"{name}=={version}" for name, version in names.items()]
    return shell_command("python", "-m", "pip", "install", "--force-reinstall", *wanted)


def _packages_for_26(packages: Mapping[str, str]) -> Iterator[Finding]:
    for name, limit in BELOW_FOR_26.items():
        version = packages.get(name, "")
        if numbers(version)[:1] >= (limit,):
            right = shell_command("python", "-m", "pip", "install", f"{name}<{limit}")
            yield error(name, f"{version}; Paddle 2.6 needs {name} below {limit}", right)


def _plugins(software: Software) -> Finding:
    count = len(software.plugins)
    if software.broken:
        broken = "; ".join(f"{name}: {why}" for name, why in software.broken.items())
        return error(
            "plugins",
            f"{len(software.broken)} of {count} cannot be imported: {broken}",
            "pannsdist plugins list --long",
        )
    if software.paddle.fault:
        return unknown("plugins", f"{count}; without Paddle none was imported", "see Paddle")
    if not count:
        return error("plugins", "no plugin is installed, not even those of pannsdist", f"{REINSTALL} pannsdist")
    origins = ", ".join(sorted(set(software.plugins.values())))
    return ok("plugins", f"{count}, all of which import: {origins}")


def _settings(file: SettingsFile) -> Finding:
    if file.wrong:
        return error("settings", file.wrong, file.remedy)
    if not file.values:
        return unknown("settings", f"{file.given} was not read")
    return ok("settings", f"{file.given}: {len(file.values)} keys")
