"""What a command imports before its work, in processes of their own."""

import json
import subprocess
import sys

import pytest

HEAVY = (
    "IPython",
    "cv2",
    "librosa",
    "matplotlib",
    "numba",
    "onnx",
    "onnxruntime",
    "pandas",
    "scipy",
    "sklearn",
    "torch",
)
"""What nothing needs before the first batch and the first answer; Paddle imports none of it either."""


def answer(code, **where):
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **where)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_nothing_heavy_is_imported_before_the_first_batch_and_the_first_answer(tmp_path):
    """The run is asked to stop, which it does between its first batch and its first step."""
    found = answer(
        f"""
import json, sys
from contextlib import contextmanager, suppress
from pathlib import Path
def loaded(*names):
    return [name for name in names if name in sys.modules]
from pannsdist.cli.command_line import main
with suppress(SystemExit):
    main(["tag", "--help"])
found = [loaded("paddle", "numpy", *{HEAVY})]
from pannsdist.run import one_run
from pannsdist.runtime.errors import Stopped
@contextmanager
def at_once():
    yield lambda: found.append(loaded(*{HEAVY})) or True
Path("run.yaml").write_text("{{data: {{name: tones}}, model: {{name: panns_cnn6}}, train: {{batch_size: 2}}}}")
with suppress(Stopped):
    one_run.carry_out(one_run.checked(Path("run.yaml"), ["data.workers=1"], 1), stop_requests=at_once)
import numpy, paddle, soundfile
from pannsdist.builtin.panns import Cnn6
paddle.save(Cnn6(Cnn6.Params()).build(range(527), Cnn6.front_end).state_dict(), "weights.pdparams")
soundfile.write("clip.wav", numpy.zeros(32000), 32000)
assert main(["tag", "--model", "panns_cnn6", "--weights", "weights.pdparams", "clip.wav"]) == 0
found.append(loaded(*{HEAVY}))
print(json.dumps(found))""",
        cwd=tmp_path,
    )
    assert found[0] == [], "to show the help"
    assert len(found) > 2 and not any(found), found


@pytest.mark.slow
def test_the_collector_passes_over_what_the_import_of_paddle_leaves_and_works_afterwards():
    frozen, tracked, is_enabled, again = answer("""
import gc, json
from pannsdist.runtime.paddle_import import import_paddle
import_paddle()
first = gc.get_freeze_count()
made = [[] for _ in range(1000)]
import_paddle()
print(json.dumps([first, len(gc.get_objects()), gc.isenabled(), gc.get_freeze_count() == first]))""")
    assert frozen > 50_000 and 1000 < tracked < frozen / 4
    assert is_enabled and again


@pytest.mark.slow
@pytest.mark.parametrize("imported", ["import_paddle()", "paddle_imported().__enter__()"])
def test_a_sigterm_during_the_import_of_paddle_reaches_the_handler_that_was_there(imported):
    """Another process sends it all the time, as Paddle's launcher does where another rank has ended."""
    received, after = answer(f"""
import json, os, signal, subprocess, sys
received = []
signal.signal(signal.SIGTERM, lambda *_: received.append(1))
endless = "import os, time; [time.sleep(0.001) for _ in iter(lambda: os.kill({{}}, 15), 0)]".format(os.getpid())
sender = subprocess.Popen([sys.executable, "-c", endless], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while not received:
    pass
before = len(received)
from pannsdist.runtime.paddle_import import import_paddle, paddle_imported
{imported}
count = len(received)
sender.kill()
sender.wait()
os.kill(os.getpid(), 15)
print(json.dumps([count - before, len(received) - count]))""")
    assert received > 0 and after > 0
