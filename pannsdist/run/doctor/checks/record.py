"""The run that is in the run folder already: whether what is installed now is what it was started with."""

from __future__ import annotations

from collections.abc import Iterator

from pannsdist.run.doctor.facts import Facts, RunRecord, Software
from pannsdist.run.doctor.finding import Finding, error, ok, warning
from pannsdist.runtime.errors import shell_command

NAME = "run in the folder"


def check(facts: Facts) -> Iterator[Finding]:
    """Findings about resuming the run in the folder; none where no run is there."""
    record = facts.record
    if record is None:
        return
    if record.unreadable:
        yield error(NAME, record.unreadable, "take another folder, as name=NAME")
        return
    found = [*_versions(record, facts.software), *_plugins(record, facts.software), *_settings(record)]
    yield from found or [ok(NAME, "was started with these versions and settings")]


def _versions(record: RunRecord, software: Software) -> Iterator[Finding]:
    now = {"paddle": software.paddle.version, "python": software.python}
    now["pannsdist"] = software.packages.get("pannsdist", "")
    for name, version in record.versions.items():
        if name in now and now[name] != version:
            seen = f"was started with {name} {version}, here is {now[name]}: it resumes, not bit for bit"
            yield warning(NAME, seen, f"install {name} {version}, or start again under another name")


def _plugins(record: RunRecord, software: Software) -> Iterator[Finding]:
    now = versions_of(software)
    for name, version in record.plugins.items():
        if now.get(name) != version:
            seen = f"has a best model of the plugin {name} {version}, here is {now.get(name, 'none')}"
            yield warning(NAME, seen, shell_command("python", "-m", "pip", "install", f"{name}=={version}"))


def versions_of(software: Software) -> dict[str, str]:
    """The version of each distribution that brings plugins."""
    origins = (origin.rpartition(" ") for origin in software.plugins.values())
    return {name: version for name, _, version in origins}


def _settings(record: RunRecord) -> Iterator[Finding]:
    if record.other_settings:
        others = "; ".join(f"{key} is {change}" for key, change in record.other_settings.items())
        right = "choose another name, as name=NAME"
        yield error(NAME, f"has other settings, and does not resume with these: {others}", right)
