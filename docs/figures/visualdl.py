"""Screenshots of a run for the documentation: its curves in VisualDL, its pictures there, and its report.

    python docs/figures/visualdl.py runs/NAME docs/images

Needs playwright and chromium. VisualDL's own server is started on a free port, and ended afterwards.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SERVER = "from visualdl.server.app import main; main()"
SIZE = {"width": 1340, "height": 910}
LIMIT_S = 120.0


def main() -> None:
    """Write `visualdl.png`, `visualdl_pictures.png` and `report.png`."""
    run, images = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, serving(run, Path(folder)) as address, sync_playwright() as started:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_context(viewport=SIZE, locale="en-US").new_page()
        page.set_default_timeout(1000 * LIMIT_S)
        show_curves(page, address)
        page.screenshot(path=images / "visualdl.png")
        show_pictures(page, address)
        page.screenshot(path=images / "visualdl_pictures.png")
        page.goto((run / "report.html").as_uri())
        page.screenshot(path=images / "report.png", full_page=False)
        browser.close()


def show_curves(page: Any, address: str) -> None:
    """Open the losses and two scores, by a search."""
    page.goto(f"{address}/app/scalar")
    page.get_by_text("valid", exact=True).first.wait_for()
    page.get_by_placeholder("Search tags").fill("loss|accuracy|macro_f1")
    page.wait_for_timeout(3000)


def show_pictures(page: Any, address: str) -> None:
    """Open the images: the confusion matrix and the worst clips."""
    page.goto(f"{address}/app/sample/image")
    page.get_by_text("valid/worst_1_picture", exact=True).wait_for()
    large = "[...document.images].filter(image => image.complete && image.naturalWidth > 250)"
    page.wait_for_function(f"{large}.length >= 3")
    page.wait_for_timeout(1000)


@contextmanager
def serving(run: Path, folder: Path) -> Iterator[str]:
    """The address of a VisualDL server of a run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    logs = folder / run.name
    logs.symlink_to(run / "vdl")
    command = [sys.executable, "-c", SERVER, "--logdir", run.name, "--host", "127.0.0.1", "--port", str(port)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=folder, start_new_session=True, **quiet)  # noqa: S603 - a fixed command
    try:
        wait(f"http://127.0.0.1:{port}/alive")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait(address: str) -> None:
    """Wait for the server's first answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        try:
            with opener.open(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(address)


if __name__ == "__main__":
    main()
