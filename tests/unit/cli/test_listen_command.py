"""`pannsdist listen` on pipes, files and a microphone of ALSA: real processes and the real PortAudio."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path

import loud_model
import numpy as np
import pytest
import soundfile
from loud_model import RATE_HZ, sound

pytestmark = [pytest.mark.slow, pytest.mark.any_paddle]
LISTEN = (sys.executable, "-m", "pannsdist", "listen")
RATE_HZ_TEXT = str(RATE_HZ)
EVENTS = [(0.0, 2.0, "loud"), (2.0, 4.0, "quiet")]
ALSA = Path("/usr/share/alsa/alsa.conf")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a model, and the environment of processes that load it."""
    folder = tmp_path_factory.mktemp("listening")
    environment = loud_model.write_model(folder)
    soundfile.write(folder / "sound.wav", sound([0.5, 0.5, 0, 0, 0.5, 0.5]), RATE_HZ, subtype="FLOAT")
    return folder, environment


@pytest.fixture
def listening(made):
    """Starts `pannsdist listen` with its model; ends it with the test."""
    started = []

    def start(*arguments, **environment):
        folder, own = made
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        how = ["--model", "model", "--engine", "dygraph", *arguments]
        process = subprocess.Popen([*LISTEN, *how], cwd=folder, env={**own, **environment}, **pipes)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def listen(made, run, monkeypatch):
    """Calls `pannsdist listen` in this process; gives its code, the records that it printed, and its complaints."""
    folder, _ = made
    for path in (loud_model.HERE.parent, loud_model.HERE, folder):
        monkeypatch.syspath_prepend(str(path))
    monkeypatch.chdir(folder)

    def called(*arguments, command="listen"):
        code, out, err = run(command, *arguments, "--model", "model", "--engine", "dygraph")
        return code, [json.loads(line) for line in out.splitlines()], err

    return called


def spans(records):
    return [(one["onset_s"], one["offset_s"], one["label"]) for one in records]


def test_an_event_is_printed_before_the_input_ends_and_sigterm_prints_the_rest(listening):
    process = listening("--stdin", "--rate", RATE_HZ_TEXT, "--sample-format", "s16le", "--channels", "2")
    samples = np.repeat(sound([0.5, 0.5, 0, 0, 0.5])[:, None], 2, axis=1)
    process.stdin.write((samples * 32767).astype("<i2").tobytes())
    process.stdin.flush()
    first = [json.loads(process.stdout.readline()) for _ in EVENTS]
    assert spans(first) == EVENTS
    process.send_signal(signal.SIGTERM)
    rest = [json.loads(line) for line in process.stdout.read().splitlines()]
    assert (process.wait(), spans(rest)) == (0, [(4.0, 5.0, "loud")])


def test_a_pipe_that_ends_within_a_sample_is_complained_of_and_its_events_are_printed(listening):
    process = listening("--stdin", "--rate", RATE_HZ_TEXT, "--scores", "--topk", "1")
    out, err = process.communicate(sound([0.5, 0.5, 0, 0]).tobytes() + b"abc")
    records = [json.loads(line) for line in out.splitlines()]
    assert spans(one for one in records if "label" in one) == EVENTS
    windows = [one for one in records if "scores" in one]
    assert [list(one["scores"]) for one in windows] == [["loud"], ["loud"], ["quiet"], ["quiet"]]
    assert records.index(windows[2]) < [one.get("label") for one in records].index("loud")
    assert process.returncode == 0
    assert b"warning: standard input ended within a sample: 3 bytes are left over" in err


def test_a_reader_that_leaves_ends_it_quietly(listening):
    process = listening("--stdin", "--rate", RATE_HZ_TEXT)
    process.stdin.write(sound([0.5, 0]).tobytes())
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.close()
    with suppress(BrokenPipeError):  # it may have left already
        process.stdin.write(sound([0.5, 0] * 3).tobytes())
        process.stdin.close()
    assert process.wait() == 141
    assert b"Traceback" not in (said := process.stderr.read()) and b"error" not in said


def test_a_file_has_the_events_of_detect(listen):
    for more in ((), ("--window", "1", "--hop", "0.25", "--min-gap", "1.5", "--min-duration", "1.5")):
        code, found, err = listen("sound.wav", *more)
        (detected,) = listen("sound.wav", *more, "--format", "jsonl", command="detect")[1]
        assert code == 0, err
        assert sorted(map(tuple, spans(found))) == sorted(spans(detected["events"]))
        assert len(found) >= 3 - len(more) / 8


def test_what_is_unusual_about_a_file_is_said(listen, made):
    folder, _ = made
    soundfile.write(folder / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    whole = (folder / "sound.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    assert "note: 1.0 s were heard: it is silent" in listen("silent.wav")[2]
    code, found, err = listen("cut.wav")
    assert (code, spans(found)[0]) == (0, EVENTS[0])
    assert "warning: cut.wav: 3.00 of 6.00 s could be read" in err


def test_samples_that_are_no_numbers_end_it_after_the_events_that_were_decided(listen, made):
    folder, _ = made
    samples = sound([0.5, 0, 0, 0])
    samples[-100] = np.nan
    soundfile.write(folder / "nan.wav", samples, RATE_HZ, subtype="FLOAT")
    code, found, err = listen("nan.wav")
    assert (code, spans(found)) == (2, [(0.0, 1.0, "loud")])
    assert "it contains NaN or infinite samples (after 3.000 s)" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sound.wav", "--stdin"), "FILE and --stdin are given\n  choose one of them"),
        (("--stdin",), "--stdin needs the sample rate of what is piped in\n  give it in Hz, such as --rate 44100"),
        (("--stdin", "--rate", "7"), "its sample rate is 7 Hz"),
        (("sound.wav", "--rate", "8000", "--channels", "1"), "--rate and --channels do not belong to FILE"),
        (("--microphone", "1", "--sample-format", "s16le"), "--sample-format do not belong to --microphone"),
        (("none.wav",), "none.wav"),
        (("-",), "- is no file to listen to\n  samples are piped in with --stdin"),
        (("sound.wav", "--threshold", "2"), "the threshold is 2"),
        (("sound.wav", "--hop", "0"), "the hop is 0 s"),
    ],
)
def test_what_does_not_go_together_is_refused(listen, arguments, says):
    code, found, err = listen(*arguments)
    assert (code, found) == (2, [])
    assert says in err
    assert "Traceback" not in err


MISSING = {
    "import sys; sys.modules['sounddevice'] = None": "next: pip install 'pannsdist[listen]'",
    "import ctypes.util; ctypes.util.find_library = lambda name: None": "next: apt-get install libportaudio2",
}


@pytest.mark.parametrize("hidden", MISSING)
def test_what_the_microphone_needs_is_said_where_it_is_missing(hidden, tmp_path):
    code = f"{hidden}; import pannsdist.cli; sys = __import__('sys'); sys.exit(pannsdist.cli.main(['listen']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert MISSING[hidden] in done.stderr
    assert "Traceback" not in done.stderr


def portaudio():
    """The tests of the microphone need PortAudio, and ALSA's configuration, which comes with it."""
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"no PortAudio here: {error}")
    if not ALSA.is_file():
        pytest.skip(f"no {ALSA}")


@pytest.fixture
def microphone(tmp_path):
    """A microphone that PortAudio finds: what is written into a pipe. Gives the variables, and the pipe's end."""
    portaudio()
    os.mkfifo(tmp_path / "air")
    text = f"""<{ALSA}>
pcm.air {{ type file slave.pcm {{ type null }} file /dev/null infile {tmp_path / "air"} format raw }}
pcm.testing {{
  type plug
  slave {{ pcm air format S16_LE rate {RATE_HZ} channels 1 }}
  hint {{ show on description "a pipe" }}
}}
"""
    (tmp_path / "asound.conf").write_text(text, encoding="utf-8")
    end = os.open(tmp_path / "air", os.O_RDWR)
    yield {"ALSA_CONFIG_PATH": str(tmp_path / "asound.conf")}, end
    os.close(end)


def speak(end, levels, spoken, is_done):
    """Fill the air with these seconds, and then with silence until it is done: ALSA waits for it."""
    for level in chain(levels, repeat(0.0)):
        if is_done.is_set():
            return
        spoken.append(level)
        for part in np.array_split((sound([level]) * 32767).astype("<i2"), 10):
            os.write(end, part.tobytes())


def test_a_microphone_is_heard_what_is_lost_is_said_and_ctrl_c_ends_it(listening, microphone):
    variables, end = microphone
    how = ("--microphone", "testing", "--rate", RATE_HZ_TEXT, "--hop", "0.05", "--scores")
    process = listening(*how, **variables)
    said = [process.stderr.readline() for _ in range(2)]
    assert said[1] == b"listening: testing, 8000 Hz, channels: 1; Ctrl-C ends\n", said
    spoken, is_done, lines = [], threading.Event(), []
    air = threading.Thread(target=speak, args=(end, [0.5, 0.5], spoken, is_done), daemon=True)
    air.start()
    first = next(one for one in map(json.loads, process.stdout) if "label" in one)
    assert first["label"] == "loud"
    begun = len(spoken)
    while len(spoken) < begun + 150:  # nobody reads what is printed: after 80 kB it waits, and then its queue fills
        time.sleep(0.05)
    reading = threading.Thread(target=lambda: lines.extend(process.stdout))
    reading.start()
    warning = process.stderr.readline()
    assert warning.startswith(b"warning: ") and b"s of sound did not fit into the queue of 30 s" in warning
    process.send_signal(signal.SIGINT)
    reading.join()
    is_done.set()
    while air.is_alive():
        if select.select([end], [], [], 0.05)[0]:
            os.read(end, 1 << 16)
    assert process.wait() == 0
    assert "label" in json.loads(lines[-1])


def test_a_microphone_that_gives_no_more_sound_ends_with_what_was_heard_and_an_error(
    listening, made, microphone, tmp_path
):
    """PortAudio's thread is ended as it ends where the device is unplugged."""
    (tmp_path / "sitecustomize.py").write_text("""
import threading, sounddevice
start = sounddevice.InputStream.start
def start_and_end(self):
    start(self)
    threading.Timer(2.0, self.abort).start()
sounddevice.InputStream.start = start_and_end
""")
    variables, end = microphone
    path = os.pathsep.join([str(tmp_path), made[1]["PYTHONPATH"]])
    process = listening("--microphone", "testing", "--rate", RATE_HZ_TEXT, **variables, PYTHONPATH=path)
    is_done = threading.Event()
    air = threading.Thread(target=speak, args=(end, [0.5] * 9, [], is_done), daemon=True)
    air.start()
    out, err = process.communicate(timeout=60)
    is_done.set()
    while air.is_alive():
        if select.select([end], [], [], 0.05)[0]:
            os.read(end, 1 << 16)
    assert process.returncode == 2, err
    assert b"error: the microphone testing gives no more sound\n" in err
    assert b"next: pannsdist listen --list-microphones" in err
    assert "loud" in [json.loads(line)["label"] for line in out.splitlines()]


def test_the_microphones_are_listed_and_another_is_refused(listening, microphone):
    variables, _ = microphone
    out, _ = listening("--list-microphones", **variables).communicate()
    assert b"testing  " in out
    process = listening("--microphone", "nobody", **variables)
    _, err = process.communicate()
    assert process.returncode == 2
    assert b"the microphone 'nobody' cannot be opened" in err
    assert b"next: pannsdist listen --list-microphones" in err


def test_without_a_microphone_it_is_refused(listening):
    portaudio()
    if listening("--list-microphones").wait() == 0:
        pytest.skip("this machine has a microphone")
    process = listening()
    _, err = process.communicate()
    assert (process.returncode, b"error: no microphone was found\n" in err) == (2, True), err
