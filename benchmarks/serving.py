"""Speed and memory of `pannsdist serve`: requests that share batches, waiting at half load, and growth.

    python benchmarks/serving.py [--model NAME] [--requests N] [--growth-requests N] [--engine NAME]
                                 [--max-wait-ms N] [--rounds N] [--quick]

The sounds are 5 s of noise, 16-bit WAV at 44.1 kHz, and the weights are random: the speed does not depend on them. The
clients are one process of their own on the same cores: eight threads, each with a connection that stays open. In a
closed loop each sends its next request as soon as the last one is answered. At half load requests arrive at random
times (exponential gaps, a seed), at half the rate of the closed loop, and a request's time counts from when it was due.
"""

from __future__ import annotations

import http.client
import json
import random
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from measuring import Table, interleave, parser, present, say
from model_folders import write_model

MODEL, CLASSES, CROP_S, RATE_HZ = "efficientat_mn04", 10, 5.0, 44100
CLIENTS, SOUNDS, WARM_UP, PART = 8, 16, 64, 0.95
READY_S = 120
BATCHES, ONES = "batches of up to 8", "batches of one"
ARMS = {BATCHES: ("--batch-size", "8"), ONES: ("--batch-size", "1")}
LONE, HALF = "a lone request", "at half load"
HOST, BOUNDARY = "127.0.0.1", "sound"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def main() -> None:
    """Print the tables; with `--client`, send requests."""
    arguments = parser("The server's speed, as ratios from interleaved runs, and its memory.", rounds=5)
    arguments.add_argument("--model", default=MODEL, help=f"model plugin (default: {MODEL})")
    arguments.add_argument("--requests", type=int, default=400, help="requests of each measurement (default: 400)")
    arguments.add_argument("--growth-requests", type=int, default=10_000, help="of the last table (default: 10000)")
    arguments.add_argument("--engine", default="", help="as of the server (default: by the table)")
    arguments.add_argument("--max-wait-ms", default="", help="as of the server")
    arguments.add_argument("--client", nargs=4, metavar=("PORT", "FOLDER", "COUNT", "RATE"), help="of this program")
    chosen = arguments.parse_args()
    if chosen.client:
        port, folder, count, rate = chosen.client
        print(json.dumps(client(int(port), Path(folder), int(count), float(rate))))
        return
    if chosen.quick:
        chosen.rounds, chosen.model, chosen.requests, chosen.growth_requests = 1, "efficientat_mn01", 16, 40
    with tempfile.TemporaryDirectory(prefix="pannsdist-") as name:
        folder = Path(name)
        write_model(folder / "model", chosen.model, CLASSES, CROP_S)
        write_sounds(folder / "sounds")
        present([*speeds(folder, chosen), waiting(folder, chosen), growth(folder, chosen)], chosen.json)


def write_sounds(folder: Path) -> None:
    """Write the sounds that the clients send."""
    import soundfile

    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(SOUNDS):
        waveform = generator.normal(0, 0.1, round(CROP_S * RATE_HZ)).astype(np.float32)
        soundfile.write(folder / f"{number}.wav", waveform, RATE_HZ, "PCM_16")


def speeds(folder: Path, chosen: Namespace) -> list[Table]:
    """Requests a second of a closed loop, with and without shared batches, and the processor time of the clients."""
    busy: dict[str, list[float]] = {}

    def speed(arm: str) -> float:
        with server(folder, options(chosen, arm)) as (port, _):
            ask(port, folder, WARM_UP)
            found = ask(port, folder, chosen.requests)
        busy.setdefault(arm, []).append(1000 * found["core_s"] / chosen.requests)
        return chosen.requests / found["seconds"]

    title = f"{chosen.model}, {CROP_S:g} s clips, {CLIENTS} clients in a closed loop"
    rows = interleave(ARMS, chosen.rounds, "requests/s", speed)
    return [
        Table(title, "requests/s", rows),
        Table(f"{title}: the clients", "ms of processor time/request", busy, better="lower", ratios=False),
    ]


def waiting(folder: Path, chosen: Namespace) -> Table:
    """The 95th percentile of the time of a request at half load, beside the median of lone ones, in one server."""
    rows: dict[str, list[float]] = {LONE: [], HALF: []}
    with server(folder, options(chosen, BATCHES)) as (port, _):
        ask(port, folder, WARM_UP)
        for number in range(1, chosen.rounds + 1):
            lone = ask(port, folder, max(8, chosen.requests // 8), alone=True)["times_s"]
            full = ask(port, folder, chosen.requests)
            half = ask(port, folder, chosen.requests, rate=chosen.requests / full["seconds"] / 2)["times_s"]
            rows[LONE].append(1000 * float(np.median(lone)))
            rows[HALF].append(1000 * float(np.quantile(half, PART)))
            say(f"  round {number}/{chosen.rounds}  {rows[LONE][-1]:.1f} ms, {rows[HALF][-1]:.1f} ms")
    title = f"{chosen.model}: the time of {LONE} (median), and of 95 % of those {HALF}"
    return Table(title, "ms", rows, better="lower")


def growth(folder: Path, chosen: Namespace) -> Table:
    """The resident memory of the server after a tenth of the requests, and after all of them."""
    with server(folder, options(chosen, BATCHES)) as (port, process):
        early = max(CLIENTS, chosen.growth_requests // 10)
        ask(port, folder, early)
        before = resident_mb(process)
        ask(port, folder, chosen.growth_requests - early)
        after = resident_mb(process)
    rows = {f"after {early:,} requests": [before], f"after {chosen.growth_requests:,}": [after]}
    return Table(f"{chosen.model}: resident memory of the server", "MB", rows, better="lower", ratios=False)


def options(chosen: Namespace, arm: str) -> list[str]:
    """The options of the server of an arm."""
    given = {"--engine": chosen.engine, "--max-wait-ms": chosen.max_wait_ms}
    return [*ARMS[arm], *(word for pair in given.items() if pair[1] for word in pair)]


@contextmanager
def server(folder: Path, given: Sequence[str]) -> Iterator[tuple[int, psutil.Process]]:
    """A server of its own for a while: its port and process."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pannsdist", "serve", "--model", str(folder / "model"), "--port", str(port)]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen([*command, *given], stdout=log, stderr=log)  # noqa: S603
    try:
        wait_until(lambda: is_ready(port, process), folder / "server.log")
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def wait_until(holds: Callable[[], bool], log: Path) -> None:
    """Wait for a server. Raises SystemExit with its output where it does not come."""
    end = time.monotonic() + READY_S
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"the server is not ready after {READY_S} s:\n{log.read_text()}")
        time.sleep(0.1)


def is_ready(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Whether the server answers. Raises SystemExit where its process has ended."""
    if process.poll() is not None:
        raise SystemExit(f"the server ended with code {process.returncode}")
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except ConnectionError:
        return False
    finally:
        connection.close()


def ask(port: int, folder: Path, count: int, rate: float = 0.0, *, alone: bool = False) -> dict[str, float]:
    """Send requests from a process of its own, in a closed loop, at a rate, or one after another."""
    given = [str(port), str(folder / "sounds"), str(count), str(-1.0 if alone else rate)]
    done = subprocess.run([sys.executable, __file__, "--client", *given], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SystemExit(f"the clients failed:\n{done.stderr}\n{(folder / 'server.log').read_text()}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def client(port: int, folder: Path, count: int, rate: float) -> dict[str, object]:
    """Send `count` requests: at `rate` a second; 0: eight clients in a closed loop; below: a single one."""
    bodies = [body(path) for path in sorted(folder.iterdir())]
    gaps = random.Random(0)  # noqa: S311
    due = [0.0] * count
    if rate > 0:
        for number in range(1, count):
            due[number] = due[number - 1] + gaps.expovariate(rate)
    times: list[float] = []
    numbers, lock = iter(range(count)), threading.Lock()
    start = time.perf_counter()

    def send() -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=60)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            now = time.perf_counter() - start
            if rate > 0:
                time.sleep(max(0.0, due[number] - now))
                now = due[number]
            post(connection, bodies[number % len(bodies)])
            times.append(time.perf_counter() - start - now)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(CLIENTS if rate == 0 else 1 if rate < 0 else 4 * CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(times) < count:
        raise SystemExit(f"{len(times)} of {count} requests were answered")
    seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return {"seconds": seconds, "times_s": times, "core_s": used.ru_utime + used.ru_stime}


def body(path: Path) -> bytes:
    """A file as a form."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'
    return head.encode() + path.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()


def post(connection: http.client.HTTPConnection, content: bytes) -> None:
    """Send a sound and read the answer. Raises SystemExit for another status than 200."""
    connection.request("POST", "/v1/predict", content, {"Content-Type": FORM})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != http.HTTPStatus.OK:
        raise SystemExit(f"the server answered {answer.status}: {text.decode(errors='replace')}")


def resident_mb(process: psutil.Process) -> float:
    """The resident memory of a process and of those that it started, in MB."""
    every = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in every) / (1 << 20)


if __name__ == "__main__":
    main()
