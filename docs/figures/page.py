"""Screenshots of the page to try a model for the documentation: light in English, dark in Chinese.

    python docs/figures/page.py runs/NAME/best_model docs/images SOUND [SOUND ...]

The first picture has the first sound, the second all of them one after the other, each at the same peak. Needs
playwright, chromium, `pannsdist[serve]`, and a font with Chinese. `pannsdist serve` is started on a free port, and
ended afterwards.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

SIZE = {"width": 760, "height": 1170}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SHOTS = (("page.png", "en-US", "light"), ("page_zh_dark.png", "zh-CN", "dark"))
COLOURS = 64
"""Of a picture: with all of them it is more than twice as large."""


def main() -> None:
    """Write `page.png` and `page_zh_dark.png`."""
    model, images, *sounds = (Path(argument).resolve() for argument in sys.argv[1:])
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, serving(model) as address, sync_playwright() as started:
        shown = (sounds[0], joined(sounds, Path(folder)))
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for (name, locale, scheme), sound in zip(SHOTS, shown, strict=True):
            page = browser.new_context(viewport=SIZE, locale=locale, color_scheme=scheme).new_page()
            show(page, address, sound)
            page.screenshot(path=images / name)
            Image.open(images / name).convert("RGB").quantize(COLOURS).save(images / name, optimize=True)
        browser.close()


def joined(sounds: Sequence[Path], folder: Path) -> Path:
    """The sounds one after the other, of one rate."""
    parts, rates_hz = zip(*(soundfile.read(path, dtype="float32") for path in sounds), strict=True)
    path = folder / f"{len(sounds)}_sounds.wav"
    soundfile.write(path, np.concatenate([0.5 * part / np.abs(part).max() for part in parts]), rates_hz[0])
    return path


def show(page: Any, address: str, sound: Path) -> None:
    """Give the page a sound and wait for the answer; put the cursor at 2 s."""
    page.goto(address)
    page.set_input_files("#files", str(sound))
    page.locator("table.events").wait_for()
    page.locator("canvas").nth(1).wait_for()
    page.get_by_role("slider").fill("2")
    page.get_by_role("slider").blur()
    page.wait_for_timeout(500)


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """The address of a server of a model."""
    command = [sys.executable, "-m", "pannsdist", "serve", "--model", str(model), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603
    try:
        yield ready(server)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def ready(server: subprocess.Popen[str]) -> str:
    """The address that the server prints."""
    for line in server.stdout or ():
        if found := re.match(r"ready: (\S+)", line):
            return found[1]
    raise RuntimeError(f"the server ended with {server.wait()}")


if __name__ == "__main__":
    main()
