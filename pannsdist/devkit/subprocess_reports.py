"""Entry point of the subprocess started by `subprocess_probe`: runs one probe and writes its results as JSON lines."""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from pannsdist.runtime.storage import append_line, temporary_file

DEVICE_MODULES = ("paddle.tensor", "paddle.device", "paddle.nn.initializer")
SEEDING_MODULES = ("paddle.framework.random",)

Report = Callable[[Any], None]


def main(path: str, probe: str, *arguments: str) -> None:
    """Run a probe and append its results to the file, one JSON value per line."""
    probes: dict[str, Callable[..., None]]
    probes = {
        "effects": report_effects,
        "listing": report_listing,
        "shortest": report_shortest,
        "tracked": report_tracked,
    }
    probes[probe](lambda value: append_line(Path(path), json.dumps(value)), *arguments)


def report_effects(report: Report, module: str) -> None:
    """One line for each side effect of importing a module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import numpy as np
        import paddle

        import pannsdist.contracts.corpora  # noqa: F401 - effects of modules that a plugin may import are not its own
    warnings.simplefilter("ignore")
    before, was = _state(np, paddle), dict(os.environ)
    called: set[str] = set()
    with _output() as printed, _recorded_calls(called):
        importlib.import_module(module)
    after = _state(np, paddle)
    if printed:
        report(f"prints {printed[0][:80]!r}")
    for sentence in sorted(called):
        report(sentence)
    for what, value in after.items():
        if value != before[what]:
            report(what)
    changed = sorted(key for key in was.keys() | os.environ.keys() if was.get(key) != os.environ.get(key))
    if changed:
        report(f"sets {', '.join(changed)} in the environment")


def _state(np: Any, paddle: Any) -> dict[str, Any]:
    """Global state that no import may change, by the description of the change."""
    generator = np.random.get_state()  # the global generator
    return {
        "changes the state of `random`": random.getstate(),
        "changes the state of `numpy.random`": (generator[1].tobytes(), *generator[2:]),
        "changes the working folder": str(Path.cwd()),
        "starts a thread": threading.active_count(),
        "changes Paddle's default type": paddle.get_default_dtype(),
        "changes Paddle's device": paddle.device.get_device(),
    }


@contextmanager
def _output() -> Iterator[list[str]]:
    """Capture what is printed in the block, including output from C."""
    lines: list[str] = []
    with temporary_file() as file:
        sys.stdout.flush(), sys.stderr.flush()
        kept = os.dup(1), os.dup(2)
        os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            for own, number in zip(kept, (1, 2), strict=True):
                os.dup2(own, number)
                os.close(own)
            file.seek(0)
            lines += file.read().decode("utf-8", "replace").splitlines()


@contextmanager
def _recorded_calls(called: set[str]) -> Iterator[None]:
    """Record each call that seeds Paddle or computes on its device; those modules are already loaded."""

    def record(frame: Any, event: str, _: Any) -> None:
        if event != "call" or frame.f_code.co_name == "<module>":
            return
        module = frame.f_globals.get("__name__", "")
        if module.startswith(SEEDING_MODULES) and frame.f_code.co_name == "seed":
            called.add("seeds Paddle")
        elif module.startswith(DEVICE_MODULES):
            called.add(f"touches the device: {module}.{frame.f_code.co_name}")

    sys.setprofile(record)
    try:
        yield
    finally:
        sys.setprofile(None)


def _subject(kind: str, name: str, given: str) -> Any:
    from pannsdist.devkit.checking import Subject
    from pannsdist.registry import Catalog

    catalog = Catalog.installed()
    return Subject(catalog.registry(kind).find(name), json.loads(given), catalog)


def report_listing(report: Report, kind: str, name: str, given: str) -> None:
    """The clip ids by split, and the audio files opened to list them."""
    import soundfile

    from pannsdist.contracts.sound_files import sound_endings

    subject, opened = _subject(kind, name, given), []

    def record(event: str, arguments: Any) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            opened.append(os.fsdecode(arguments[0]))

    class RecordingSoundFile(soundfile.SoundFile):  # opens files in C, unseen by audit hooks
        def __init__(self, file: Any, *others: Any, **named: Any) -> None:
            opened.append(os.fsdecode(file) if isinstance(file, (str, bytes, os.PathLike)) else "sound.wav")
            super().__init__(file, *others, **named)

    sys.addaudithook(record)
    soundfile.SoundFile = RecordingSoundFile
    dataset = subject.plugin()
    clips = {split: list(dataset.clips(split)) for split in dataset.splits}
    sources = {str(clip.source) for listed in clips.values() for clip in listed if isinstance(clip.source, Path)}
    audio = {path for path in opened if path in sources or path.lower().endswith(sound_endings())}
    report({"opened": sorted(audio), "ids": {split: [clip.id for clip in listed] for split, listed in clips.items()}})


def report_shortest(report: Report, kind: str, name: str, given: str) -> None:
    """For each front end that the model accepts: `tried CASE`, and `passed CASE` if a minimum-length waveform works."""
    warnings.simplefilter("ignore")
    from pannsdist.runtime import cpu

    cpu.use_fast_kernels()
    import paddle

    from pannsdist.devkit.checks.feature import noise
    from pannsdist.devkit.checks.model_building import feature_of
    from pannsdist.runtime.errors import UserError

    subject = _subject(kind, name, given)
    model = subject.plugin()
    feature = subject.catalog.features.find(model.feature).load()
    own = feature_of(subject, model).params()
    for item in fields(feature.Params):
        value = getattr(own, item.name)
        if type(value) is not int or value < 2:
            continue
        for other in (value // 2, value * 2):
            try:
                front = feature_of(subject, model, **{item.name: other}).plugin()
            except UserError:
                continue
            if not model.accepts(front.front_end):
                continue
            shortest = model.minimum_samples(front.front_end)
            case = f"{item.name}={other}: {shortest} samples"
            report(f"tried {case}")  # before the computation, which may end the process
            layer = model.build(("a", "b"), front.front_end)
            layer.eval()
            try:
                with paddle.no_grad():
                    layer(front.build()(noise(1, shortest))).numpy()
            except Exception:  # noqa: BLE001, S112 - any exception means that the length is too short
                continue
            report(f"passed {case}")


def report_tracked(report: Report, kind: str, name: str, given: str, folder: str) -> None:
    """The side effects of a tracker, by kind."""
    warnings.simplefilter("ignore")
    from pannsdist.devkit import fake_run

    report(fake_run.observe_tracker(_subject(kind, name, given), Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # do not wait for threads that a plugin left running
