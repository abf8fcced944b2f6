"""The page to try a model, as tests look at it: the real server, a browser's page, and what stands on it."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import chromium
import pytest

MODELS = {"plain": "demo_probe", "strict": "strict"}
"""Their names in the server, and their runs."""
TOKEN = "a-token-of-the-tests"
RATE_HZ = 32000


@contextmanager
def serving(site, models):
    """The address of `pannsdist serve` with models, by name, and a token."""
    arguments = [f"--model={name}={folder}" for name, folder in models.items()]
    command = [sys.executable, "-m", "pannsdist", "serve", *arguments, "--port", "0"]
    environment = {**os.environ, "PANNSDIST_TOKEN": TOKEN}
    with (site / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=site, env=environment, stdout=subprocess.PIPE, stderr=log)
    try:
        yield _address(process, site / "server.log")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _address(process, log):
    """What the server prints once it is ready."""
    end = time.monotonic() + chromium.LIMIT_S
    said = b""
    while time.monotonic() < end:
        if select.select([process.stdout], [], [], 1.0)[0]:
            said += os.read(process.stdout.fileno(), 4096)
        if found := re.search(rb"ready: (http://127\.0\.0\.1:\d+)/", said):
            return found[1].decode()
        assert process.poll() is None, log.read_text()
    raise TimeoutError(log.read_text())


@contextmanager
def opened(browser, address, token=TOKEN, **options):
    """The page, with the token that a visitor of this tab gave before."""
    with chromium.watched(browser, **options) as page:
        if token:
            page.add_init_script(f"sessionStorage.setItem('token', '{token}')")
        page.goto(address)
        if token:
            chromium.wait(page, "document.querySelector('#model').options.length === 2")
        yield page


def choose(page, *paths):
    page.set_input_files("#files", [str(path) for path in paths])
    answered(page, len(paths))


def answered(page, count):
    chromium.wait(page, f"document.querySelectorAll('.card .classes, .card .failure').length === {count}")


def drop(page, *paths):
    """Drop files on the page, as a mouse does."""
    files = [[path.name, list(path.read_bytes())] for path in paths]
    data = page.evaluate_handle(
        """(files) => {
            const data = new DataTransfer();
            for (const [name, bytes] of files) data.items.add(new File([new Uint8Array(bytes)], name));
            return data;
        }""",
        files,
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    answered(page, len(paths))


def card(page, name):
    return page.get_by_role("article", name=name, exact=True)


def classes(found):
    """The classes of a card with their probabilities, highest first."""
    rows = found.locator(".classes li")
    return [
        (row.locator(".class-label").inner_text(), float(row.locator("data").get_attribute("value")))
        for row in rows.all()
    ]


def events(found):
    """(label, onset, offset, score) of the table of a card."""
    rows = [row.locator("th, td").all_inner_texts()[:4] for row in found.locator("tbody tr").all()]
    return [(row[0], *(float(one.split()[0]) for one in row[1:])) for row in rows]


def expected_events(detection):
    return [
        (one.label, *(pytest.approx(value, abs=0.0051) for value in (one.onset_s, one.offset_s, one.score)))
        for one in detection.events
    ]
