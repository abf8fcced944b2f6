"""The run folder: whether it can be written, and whether its file system honours locks, renames and links."""

from __future__ import annotations

from collections.abc import Iterator

from pannsdist.run.doctor.facts import Facts, Folder
from pannsdist.run.doctor.finding import Finding, error, ok, unknown, warning
from pannsdist.runtime.errors import shell_command

MIB = 1 << 20
LOW_MIB = 2048
"""Five checkpoints of CNN14 with AdamW take 5 x 3 x 330 MB; less than this is soon full."""
CLOCK_S, FAR_S = 2.0, 60.0
"""How far clocks may differ; more than a minute is an error, since times decide which file is newer."""


def check(facts: Facts) -> Iterator[Finding]:
    """Findings about the run folder; none where none is given."""
    folder = facts.folder
    if folder is None:
        return
    yield _writable(folder)
    if not folder.unwritable:
        yield _locks(folder)
        yield _renames(folder)
        yield _clock(folder)


def _writable(folder: Folder) -> Finding:
    if folder.unwritable:
        return error("run folder", folder.unwritable, shell_command("ls", "-ld", folder.path))
    free = "unknown" if folder.free is None else f"{folder.free // MIB} MiB"
    state = "exists" if folder.exists else "will be created"
    seen = f"{folder.path} {state}, {folder.kind or 'unknown file system'}, {free} free"
    if folder.free is not None and folder.free < LOW_MIB * MIB:
        return warning("run folder", seen, f"free disk space, or keep fewer checkpoints with save.keep: {LOW_MIB} MiB")
    return ok("run folder", seen)


def _locks(folder: Folder) -> Finding:
    if not folder.locks:
        return ok("locks", f"honoured in {folder.path}")
    right = "mount it with locks (NFS: without nolock; Lustre: -o flock), or give runs=DIR on another file system"
    return error("locks", f"{folder.path}: {folder.locks}; two runs in one folder would not notice each other", right)


def _renames(folder: Folder) -> Finding:
    if folder.renames:
        seen = f"{folder.path}: {folder.renames}; checkpoints could not be replaced in one step"
        return error("renames", seen, "give runs=DIR on another file system")
    if folder.links:
        seen = f"no symbolic links in {folder.path}: {folder.links}; checkpoints/last needs one"
        return error("renames", seen, "give runs=DIR on another file system")
    return ok("renames", f"in one step, and symbolic links, in {folder.path}")


def _clock(folder: Folder) -> Finding:
    name, right = "clock of the run folder", "timedatectl set-ntp true, on this node and on the file server"
    ahead, newest = folder.clock_ahead_s, folder.newest_ahead_s or 0.0
    if ahead is None:
        return unknown(name, "its file system does not tell times")
    if abs(ahead) <= CLOCK_S < newest:  # a file of the future: this clock was set back, or is slow
        ahead = newest
    if abs(ahead) <= CLOCK_S:
        return ok(name, "agrees with this node's clock")
    report = error if abs(ahead) > FAR_S else warning
    return report(name, f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this node's clock", right)
