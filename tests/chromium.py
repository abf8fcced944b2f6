"""The browser of the tests: Debian's Chromium, by Playwright; nothing is downloaded."""

import importlib.util
import shutil
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

BROWSER = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LIMIT_S = 120.0

pytestmark = [
    pytest.mark.any_paddle,
    pytest.mark.skipif(BROWSER is None, reason="no chromium: apt-get install chromium"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="no playwright: pip install '.[dev]'"),
]
"""For a test file to take as its own."""


@contextmanager
def browsing(*flags):
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, headless=True, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched(browser, **options):
    """A page in a context of its own, which may neither complain on its console nor ask another host for anything.

    `page.expected` are parts of the complaints that a test provokes: Chromium complains of each status from 400 on.
    `page.hosts` are the hosts that it may ask.
    """
    context = browser.new_context(**{"locale": "en-US", "viewport": {"width": 900, "height": 900}, **options})
    page = context.new_page()
    page.set_default_timeout(1000 * LIMIT_S)
    page.expected, page.hosts, page.said, page.asked = (), {"127.0.0.1"}, [], []
    page.on("console", lambda message: page.said.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    try:
        yield page
    finally:
        context.close()
    complaints = [text for text in page.said if not any(part in text for part in page.expected)]
    assert complaints == []
    assert {urlsplit(url).hostname for url in page.asked if not url.startswith(("blob:", "data:"))} <= page.hosts


def wait(page, expression):
    """Until an expression is true on a page. Playwright's own way needs `eval`, which a strict policy forbids."""
    end = time.monotonic() + LIMIT_S
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"{expression}\n{page.inner_text('body')}"
        page.wait_for_timeout(50)
