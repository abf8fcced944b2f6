"""What a person sees of a run: the real VisualDL server, looked at with a real browser."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import chromium
import pytest

LIMIT_S = 240.0
SERVER = "from visualdl.server.app import main; main()"

pytestmark = chromium.pytestmark


@contextmanager
def serving(logdir, cwd):
    """The address of a real server; it and all that it started are gone at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVER, "--logdir", logdir, "--host", "127.0.0.1", "--port", str(port)]
    with (cwd / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}/alive", process, cwd / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(address, process, log):
    end = time.monotonic() + LIMIT_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            with opener.open(address, timeout=5) as answer:
                assert answer.status == 204
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(log.read_text(errors="replace"))


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    """A browser's page at the server of the run; no picture, sound or list may fail to arrive."""
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("browser")
    with serving(str(run.folder / "vdl"), folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            str(folder / "profile"),
            executable_path=chromium.BROWSER,
            headless=True,
            args=chromium.FLAGS,
            locale="en-US",
            viewport={"width": 1400, "height": 1000},
        )
        try:
            page = browser.new_page()
            page.set_default_timeout(1000 * LIMIT_S)
            page.address, page.failed = address, []
            page.on("response", lambda answer: page.failed.append(answer.url) if answer.status >= 500 else None)
            yield page
        finally:
            browser.close()


DRAWN = """[...document.querySelectorAll('canvas')].map(canvas => {
    const bytes = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(bytes.buffer)).size;
}).filter(colours => colours > 10)"""
"""For each chart on which something is drawn, how many colours it has; charts bear their names as pixels."""


def test_the_curves_of_the_run_are_drawn(page):
    page.goto(f"{page.address}/app/scalar")
    page.get_by_text("train", exact=True).wait_for()
    page.wait_for_function(f"{DRAWN}.length == 6")  # loss, learning rate, gradient norm, speed, waiting, memory
    page.get_by_text("valid", exact=True).click()
    page.wait_for_function(f"{DRAWN}.length >= 8")
    assert page.failed == []


def test_every_score_has_a_curve(page, run):
    run_name = str(run.folder / "vdl")
    listed = page.request.get(f"{page.address}/app/api/scalar/tags").json()["data"]
    tags = set(listed["tags"][listed["runs"].index(run_name)])
    assert {name for name in run.scores[0] if "/" in name and run.scores[0][name] is not None} <= tags
    query = {"run": run_name, "tag": "valid/accuracy"}
    ((_, step, value),) = page.request.get(f"{page.address}/app/api/scalar/list", params=query).json()["data"]
    assert (step, value) == (3, pytest.approx(run.scores[0]["valid/accuracy"]))


def test_the_confusion_matrix_and_the_worst_clips_are_pictures_that_arrive(page):
    page.set_viewport_size({"width": 1400, "height": 4000})  # what is below the window is not loaded
    page.goto(f"{page.address}/app/sample/image")
    page.get_by_text("valid/confusion_matrix", exact=True).wait_for()
    page.get_by_text("valid/reliability", exact=True).wait_for()
    page.get_by_text("valid/worst_1_picture", exact=True).wait_for()
    large = "[...document.images].filter(image => image.complete && image.naturalWidth > 250)"
    page.wait_for_function(f"{large}.length >= 8")
    sizes = page.evaluate(f"{large}.map(image => [image.naturalWidth, image.naturalHeight])")
    assert sizes.count([624, 384]) == 8, sizes  # the matrix, reliability; a spectrogram and the features of each clip


def test_the_worst_clips_can_be_played(page):
    page.goto(f"{page.address}/app/sample/audio")
    for place in (1, 2, 3):
        page.get_by_text(f"valid/worst_{place}", exact=True).wait_for()
    page.get_by_text("Sample Rate: 32kHz").nth(2).wait_for()
    assert page.failed == []


def test_the_hyper_parameters_stand_in_a_row_with_the_final_scores(page, run):
    page.goto(f"{page.address}/app/hyper-parameter")
    page.get_by_text(str(run.folder / "vdl"), exact=True).first.wait_for()
    said = page.inner_text("body").splitlines()
    for expected in ("model", "panns_cnn6", "processes", "2", "valid/accuracy", "valid/calibration_error"):
        assert expected in said, said
    for name in ("valid/accuracy", "valid/loss"):
        assert run.scores[0][name] == pytest.approx(_nearest(said, run.scores[0][name]), rel=1e-6), said


def _nearest(said, value):
    """The number on the page that is nearest to a value."""
    numbers = [float(line) for line in said if re.fullmatch(r"\d+(\.\d+)?", line)]
    return min(numbers, key=lambda number: abs(number - value))
