"""A page that `pannsdist export --format web` wrote against Python: the same answers, and how much longer they take.

    python benchmarks/browser.py --model FOLDER --page FOLDER --data DIR [--quick]

Every sound file in `--data` is answered by headless Chromium from a server of static files, with no other host within
reach, and by `Model.predict` and `Model.detect` of the model that the page was exported from, one sound at a time.
Needs Chromium and Playwright.
"""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring import Table, plain_parser, present
from static_files import static_files

from pannsdist.inference.model import Model, load_model

FLAGS = ("--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
FEW = 3
OPEN = """async () => {
    const { openEngine } = await import("./engine.js");
    const { Sound } = await import("./sound.js");
    window.ask = async (encoded, name) => {
        const engine = (window.engine ??= await openEngine());
        const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
        const sound = new Sound(name, new Blob([bytes]));
        const request = { model: "m", threshold: null, signal: new AbortController().signal };
        const times = [performance.now()];
        const { scores } = await engine.predict(sound, request);
        times.push(performance.now());
        const { events } = await engine.detect(sound, request);
        times.push(performance.now());
        return { scores, events, seconds: [times[1] - times[0], times[2] - times[1]].map((ms) => ms / 1000) };
    };
}"""


def main() -> None:
    """Print the largest difference, how many sounds have the same events, and the times."""
    parser = plain_parser("A page in the browser against Python.")
    parser.add_argument("--model", type=Path, required=True, help="the model folder that was exported")
    parser.add_argument("--page", type=Path, required=True, help="what pannsdist export --format web wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder of sound files")
    chosen = parser.parse_args()
    if shutil.which("chromium") is None:
        print("Chromium is missing, so nothing was measured: apt-get install chromium")
        return
    files = sorted(path for path in chosen.data.rglob("*") if path.suffix in (".wav", ".ogg", ".flac"))
    files = files[:FEW] if chosen.quick else files
    browser, python = [], []
    with page_engine(chosen.page) as ask_page:
        model = load_model(chosen.model)
        for file in files:  # in turn, so that what else the machine does meets both alike
            python.append(ask_model(model, file))
            browser.append(ask_page(file))
    largest = max(difference(one, other) for one, other in zip(browser, python, strict=True))
    equal = sum(events_of(one) == events_of(other) for one, other in zip(browser, python, strict=True))
    print(f"largest difference of a probability: {largest:.2g}")
    print(f"the same events: {equal} of {len(files)} sounds\n")
    rows = {name: {"python": [], "browser": []} for name in ("predict", "detect")}
    for arm, answers in (("python", python), ("browser", browser)):
        for answer in answers[1:]:  # the first one loads the network
            for name, seconds in zip(rows, answer["seconds"], strict=True):
                rows[name][arm].append(seconds * 1000)
    present([Table(name, "ms", times, "lower") for name, times in rows.items()], chosen.json)


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of a probability."""
    scores = dict(other["scores"])
    return max(abs(probability - scores[label]) for label, probability in one["scores"])


def events_of(answer: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Labels, onsets and offsets, to the microsecond."""
    return [(one["label"], round(one["onsetS"], 6), round(one["offsetS"], 6)) for one in answer["events"]]


def ask_model(model: Model, file: Path) -> dict[str, Any]:
    """What a model answers, and the seconds of either method."""
    times = [time.perf_counter()]
    (answer,) = model.predict(file)
    times.append(time.perf_counter())
    (detection,) = model.detect(file)
    times.append(time.perf_counter())
    events = [{"label": one.label, "onsetS": one.onset_s, "offsetS": one.offset_s} for one in detection.events]
    seconds = [times[1] - times[0], times[2] - times[1]]
    return {"scores": list(answer.scores.items()), "events": events, "seconds": seconds}


@contextmanager
def page_engine(folder: Path) -> Iterator[Callable[[Path], dict[str, Any]]]:
    """What gives the same of a page for a file."""
    from playwright.sync_api import sync_playwright

    with static_files(folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page()
        page.goto(f"{address}/icon.svg")  # beside page.json, and without the page's own engine
        page.evaluate(OPEN)
        ask = "([encoded, name]) => window.ask(encoded, name)"
        yield lambda path: page.evaluate(ask, [base64.b64encode(path.read_bytes()).decode(), path.name])
        browser.close()


if __name__ == "__main__":
    main()
