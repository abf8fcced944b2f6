"""Close the files that Paddle's launcher wrote before this process began: they hold its whole environment.

Imports the standard library alone, so that it can be the first act of a process. Paddle 3.3.1 and 2.6.2 write them with
the umask of the user, into the folder `--log_dir`: `envlog.N`, `backup_env.N.json` and `JOB.POD.log` are in clear text.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
import time
from pathlib import Path

from pannsdist.runtime import processes

UMASK = "PANNSDIST_UMASK"
"""Environment variable with the user's umask in octal digits, where our start gave the launcher a private one."""
CLOCK_S = 0.05
"""The clocks of processes and of files tick every 10 ms; the launcher imports Paddle before it makes a folder."""
BTIME, BTIME_SECONDS, STATX_BYTES = 0x800, 80, 256
"""From linux/stat.h: the bit that asks for the time of creation, and where it stands in the answer."""


def close() -> None:
    """Make the launcher's files accessible to their owner only, and the folder too if the launcher made it.

    The first act of a process of the launcher, before settings are read; nothing without a launcher. A folder that was
    there before the launcher, such as `--log_dir .`, keeps its mode. Also restores the user's umask.
    """
    umask = os.environ.pop(UMASK, "")
    if re.fullmatch("[0-7]{1,4}", umask):
        os.umask(int(umask, 8))
    place = Path(os.environ.get("PADDLE_LOG_DIR") or os.devnull)
    if not place.is_dir():
        return
    pod = os.environ.get("POD_NAME", "")
    written = re.compile(rf"(workerlog|envlog)\.(init\.)?\d+|backup_env\.\d+\.json|.+\.{re.escape(pod)}\.log")
    for path in place.iterdir():
        if written.fullmatch(path.name):
            _close_file(path)
    if _made_by_launcher(place):
        place.chmod(0o700)


def _close_file(path: Path) -> None:
    """Take a regular file of this user away from others. A link, and a file of another user, is left alone."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # it is gone, a link, or another user's
    try:
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid():
            os.fchmod(handle, 0o600)
    finally:
        os.close(handle)


def _made_by_launcher(place: Path) -> bool:
    """Whether the folder is this user's, no link, and was made after the launcher had started, so by the launcher."""
    found, started_s = place.lstat(), _launcher_start_s(os.getppid())
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or started_s is None:
        return False
    made_s = _creation_s(place)
    return made_s is not None and made_s >= started_s + CLOCK_S


def _launcher_start_s(pid: int) -> float | None:
    """When the launcher among this process's ancestors started, in seconds since 1970; None where there is none."""
    while pid > 1:
        found = processes.process(pid)
        if found is None:
            return None
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return None
        if b"paddle.distributed.launch" in command or b"fleetrun" in command:
            age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - found.start_ticks / os.sysconf("SC_CLK_TCK")
            return time.time() - age_s
        pid = found.parent
    return None


def _creation_s(path: Path) -> float | None:
    """When a file or folder was created, in seconds since 1970; None where the file system or libc does not say."""
    buffer = ctypes.create_string_buffer(STATX_BYTES)
    try:
        failed = ctypes.CDLL(None).statx(-100, os.fsencode(path), 0, BTIME, buffer)  # -100: AT_FDCWD
    except (AttributeError, OSError):
        return None
    answer = buffer.raw
    if failed or not int.from_bytes(answer[:4], "little") & BTIME:
        return None
    seconds = int.from_bytes(answer[BTIME_SECONDS : BTIME_SECONDS + 8], "little", signed=True)
    return seconds + int.from_bytes(answer[BTIME_SECONDS + 8 : BTIME_SECONDS + 12], "little") / 1e9
