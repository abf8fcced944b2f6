"""Answers of a Python that was started for one question: `fresh` starts it, and reads the file of answers."""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

DEVICE_MODULES = ("paddle.tensor", "paddle.device", "paddle.nn.initializer")
SEEDING_MODULES = ("paddle.framework.random",)

Say = Callable[[Any], None]


def main(path: str, question: str, *arguments: str) -> None:
    """Write the answers, a JSON value on each line."""
    with Path(path).open("a", encoding="utf-8") as file:

        def say(value: Any) -> None:
            file.write(json.dumps(value) + "\n")
            file.flush()

        answers: dict[str, Callable[..., None]]
        answers = {"effects": say_effects, "listing": say_listing, "shortest": say_shortest, "tracked": say_tracked}
        answers[question](say, *arguments)


def say_effects(say: Say, module: str) -> None:
    """A line for each thing that importing a module does beside defining things."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import numpy as np
        import paddle

        import pannsdist.contracts.corpora  # noqa: F401 - what a plugin may import is not its own doing
    warnings.simplefilter("ignore")
    before, was = _state(np, paddle), dict(os.environ)
    called: set[str] = set()
    with _output() as printed, _watched_calls(called):
        importlib.import_module(module)
    after = _state(np, paddle)
    if printed:
        say(f"prints {printed[0][:80]!r}")
    for sentence in sorted(called):
        say(sentence)
    for what, value in after.items():
        if value != before[what]:
            say(what)
    changed = sorted(key for key in was.keys() | os.environ.keys() if was.get(key) != os.environ.get(key))
    if changed:
        say(f"sets {', '.join(changed)} in the environment")


def _state(np: Any, paddle: Any) -> dict[str, Any]:
    """What no import should change, by the sentence that says so."""
    generator = np.random.get_state()  # the global one, which is what is looked at
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
    """What is printed meanwhile, also from C."""
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
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
def _watched_calls(called: set[str]) -> Iterator[None]:
    """Notes each call of what seeds Paddle or computes on its device; the modules are loaded already."""

    def note(frame: Any, event: str, _: Any) -> None:
        if event != "call" or frame.f_code.co_name == "<module>":
            return
        module = frame.f_globals.get("__name__", "")
        if module.startswith(SEEDING_MODULES) and frame.f_code.co_name == "seed":
            called.add("seeds Paddle")
        elif module.startswith(DEVICE_MODULES):
            called.add(f"touches the device: {module}.{frame.f_code.co_name}")

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


def _subject(kind: str, name: str, given: str) -> Any:
    from pannsdist.devkit.checking import Subject
    from pannsdist.registry import Catalog

    catalog = Catalog.installed()
    return Subject(catalog.registry(kind).find(name), json.loads(given), catalog)


def say_listing(say: Say, kind: str, name: str, given: str) -> None:
    """The ids by split, and which audio was opened to list them."""
    import soundfile

    from pannsdist.audio.reader import SOUND_FILE_ENDINGS

    subject, opened = _subject(kind, name, given), []

    def note(event: str, arguments: Any) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            opened.append(os.fsdecode(arguments[0]))

    class Noted(soundfile.SoundFile):  # it opens by itself, in C
        def __init__(self, file: Any, *others: Any, **named: Any) -> None:
            opened.append(f"{file}" if isinstance(file, (str, os.PathLike)) else "sound.wav")
            super().__init__(file, *others, **named)

    sys.addaudithook(note)
    soundfile.SoundFile = Noted
    dataset = subject.opened()
    clips = {split: list(dataset.clips(split)) for split in dataset.splits}
    sources = {str(clip.source) for listed in clips.values() for clip in listed if isinstance(clip.source, Path)}
    heard = {path for path in opened if path in sources or path.lower().endswith(SOUND_FILE_ENDINGS)}
    say({"opened": sorted(heard), "ids": {split: [clip.id for clip in listed] for split, listed in clips.items()}})


def say_shortest(say: Say, kind: str, name: str, given: str) -> None:
    """Two lines for each front end that the model accepts: `tried` and, where its shortest sound will do, `heard`."""
    warnings.simplefilter("ignore")
    from pannsdist.runtime import cpu

    cpu.use_fast_kernels()
    import paddle

    from pannsdist.devkit.checks.feature import noise
    from pannsdist.devkit.checks.model import feature_of
    from pannsdist.runtime.errors import UserError

    subject = _subject(kind, name, given)
    model = subject.opened()
    feature = subject.catalog.features.find(model.feature).load()
    own = feature_of(subject, model).params()
    for item in fields(feature.Params):
        value = getattr(own, item.name)
        if type(value) is not int or value < 2:
            continue
        for other in (value // 2, value * 2):
            try:
                front = feature_of(subject, model, **{item.name: other}).opened()
            except UserError:
                continue
            if not model.accepts(front.front_end):
                continue
            shortest = model.minimum_samples(front.front_end)
            case = f"{item.name}={other}: {shortest} samples"
            say(f"tried {case}")
            layer = model.build(("a", "b"), front.front_end)
            layer.eval()
            try:
                with paddle.no_grad():
                    layer(front.build()(noise(1, shortest))).numpy()
            except Exception:  # noqa: BLE001, S112 - whatever it raises, it is not heard
                continue
            say(f"heard {case}")


def say_tracked(say: Say, kind: str, name: str, given: str, folder: str) -> None:
    """What a tracker does beside writing into the folder of a run, by kind."""
    warnings.simplefilter("ignore")
    from pannsdist.devkit import fake_run

    say(fake_run.watched(_subject(kind, name, given), Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # whatever threads a plugin has left behind
