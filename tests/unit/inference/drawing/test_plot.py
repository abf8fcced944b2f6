"""The picture of a detection: what it is drawn from, and that it can be seen."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from pannsdist.inference.detection import Event, WindowScores
from pannsdist.inference.drawing.outline import COLUMNS, RANGE_DB, Curves, Outline
from pannsdist.inference.drawing.plot import Scene, check_output, draw
from pannsdist.runtime.errors import UserError

RATE_HZ = 8000


def tone(hz, duration_s=2.0, level=0.5):
    return (level * np.sin(2 * np.pi * hz * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def outline(waveform, parts=1):
    return Outline(len(waveform) / RATE_HZ, RATE_HZ).add(np.array_split(waveform, parts))


def curves(*windows, labels=2, duration_s=2.0):
    drawn = Curves(duration_s, labels)
    assert len(list(drawn.record(WindowScores(*window[:2], np.array(window[2])) for window in windows))) == len(windows)
    return drawn


def picture(path, waveform=None, labels=("dog", "rain"), title="a.wav"):
    made = curves((0.0, 1.0, [0.9, 0.1]), (1.0, 2.0, [0.2, 0.6]))
    scene = Scene(title, labels, [Event(0.0, 1.0, labels[0], 0.9), Event(1.0, 2.0, labels[1], 0.6)], 0.5)
    said = draw(path, outline(tone(500) if waveform is None else waveform), made, scene)
    return imread(path)[..., :3], said


def test_the_picture_is_wide_coloured_and_differs_between_two_sounds(tmp_path):
    one, said = picture(tmp_path / "a.png")
    other, _ = picture(tmp_path / "b.png", tone(2000, level=0.1))
    assert said == ""
    assert one.shape[1] == 1100
    assert 400 < one.shape[0] < 800
    assert one.std() > 0.05
    orange = (one[..., 0] > 0.8) & (one[..., 1] < 0.6) & (one[..., 2] < 0.4)
    assert orange.any(), "no event is to be seen"
    assert np.abs(one - other).max() > 0.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    "label", ["狗叫声", "100 $ off_{", r"$\frac{", "a\nb\tc", "x" * 300, "\udcff\u202e", "", "\N{DOG FACE}"]
)
def test_any_label_and_any_title_can_be_drawn(tmp_path, label):
    image, said = picture(tmp_path / "a.png", labels=(label, "rain"), title=label)
    assert image.shape[1] == 1100
    assert said == "" or said.startswith(f"{tmp_path / 'a.png'}: no installed font has all")


def test_a_picture_needs_no_display_and_leaves_the_users_backend_alone(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import test_plot
test_plot.picture(Path({str(tmp_path)!r}) / "a.png")
assert "matplotlib.pyplot" not in sys.modules"""
    plain = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MPLBACKEND")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=plain, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").is_file()


@pytest.mark.parametrize("parts", [1, 7, 500])
def test_the_outline_of_a_sound_does_not_depend_on_its_parts(parts):
    waveform = np.concatenate([tone(500), np.zeros(RATE_HZ, np.float32), tone(2000, level=0.1)])
    whole, pieces = outline(waveform), outline(waveform, parts)
    np.testing.assert_array_equal(whole.lowest, pieces.lowest)
    np.testing.assert_array_equal(whole.highest, pieces.highest)
    np.testing.assert_allclose(whole.log_mel, pieces.log_mel, atol=1e-3)


def test_the_outline_shows_where_a_sound_is_loud_and_how_high():
    drawn = outline(np.concatenate([tone(500), np.zeros(2 * RATE_HZ, np.float32)]))
    half = COLUMNS // 2
    assert (len(drawn.lowest), drawn.log_mel.shape[0] <= COLUMNS) == (COLUMNS, True)
    np.testing.assert_allclose(drawn.highest[: half - 1], 0.5, atol=0.1)
    assert np.abs(drawn.highest[half:]).max() == np.abs(drawn.lowest[half:]).max() == 0
    columns = len(drawn.log_mel)
    assert drawn.band_hz[drawn.log_mel[columns // 4].argmax()] == pytest.approx(500, abs=60)
    assert drawn.log_mel[columns // 4].max() > -1
    assert drawn.log_mel[3 * columns // 4].max() == -RANGE_DB


@pytest.mark.parametrize("samples", [1, 5, 200, 257, 3000])
def test_short_sounds_and_silence_have_an_outline_too(samples, tmp_path):
    silence = outline(np.zeros(samples, np.float32))
    assert silence.log_mel.max() == -RANGE_DB
    assert np.isfinite(silence.lowest).all()
    scene = Scene("silence", ("dog", "rain"), [], 0.5)
    draw(tmp_path / "a.png", silence, curves((0.0, samples / RATE_HZ, [0.0, 0.0]), duration_s=samples / RATE_HZ), scene)
    assert imread(tmp_path / "a.png").std() > 0.01


def test_an_hour_takes_no_more_memory_than_its_parts():
    minute = np.random.default_rng(0).normal(0, 0.1, 60 * RATE_HZ).astype(np.float32)
    peaks = []
    for minutes in (1, 20):
        tracemalloc.start()
        drawn = Outline(60.0 * minutes, RATE_HZ).add(minute for _ in range(minutes))
        moments = (WindowScores(at / 10, at / 10 + 0.1, np.zeros(50)) for at in range(600 * minutes))
        for _ in Curves(60.0 * minutes, 50).record(moments):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert np.isfinite(drawn.lowest).all()
    assert peaks[1] < 1.5 * peaks[0]


def test_a_curve_keeps_the_highest_of_each_column_and_of_what_overlaps():
    drawn = curves((0.0, 1.0, [0.2, 0.0]), (0.5, 1.5, [0.6, 0.1]), (1.0, 2.0, [0.4, 0.0])).highest
    quarters = np.stack([drawn[round((place + 0.5) * COLUMNS / 4)] for place in range(4)])
    np.testing.assert_allclose(quarters, [[0.2, 0.0], [0.6, 0.1], [0.6, 0.1], [0.4, 0.0]], rtol=1e-6)


def test_a_moment_shorter_than_a_column_is_seen():
    many = curves(*((place / 1e4, (place + 1) / 1e4, [float(place == 7777)]) for place in range(20_000)), labels=1)
    assert np.flatnonzero(many.highest[:, 0]).tolist() == [int(0.7777 / 2 * COLUMNS)]


def test_the_labels_shown_are_those_that_are_somewhere_the_likeliest_and_then_the_highest():
    made = curves((0.0, 1.0, [0.9, 0.8, 0.7, 0.0, 0.1]), (1.0, 2.0, [0.0, 0.0, 0.0, 0.4, 0.2]), labels=5)
    assert made.top_labels(2, 0.3) == [0, 3]
    assert made.top_labels(3, 0.3) == [0, 1, 3]
    assert made.top_labels(2, 0.5) == [0, 1]
    at_threshold = curves((0.0, 1.0, [0.9, 0.8, 0.0]), (1.0, 2.0, [0.0, 0.0, 0.5]), labels=3)
    assert at_threshold.top_labels(2, 0.5) == [0, 2]
    assert sorted(made.top_labels(9, 0.3)) == [0, 1, 2, 3, 4]


def test_a_picture_that_cannot_be_written_is_refused_beforehand(tmp_path):
    check_output(tmp_path / "a.png", ["one"])
    refused = {
        "a.jpg": (["one"], r"a\.jpg is not a .png file\n  give a name such as .*a\.png"),
        "gone/a.png": (["one"], r"there is no folder .*gone\n  next: mkdir -p"),
        "a.png": (["one", "two"], r"draws one sound, but 2 are given"),
    }
    for name, (sounds, says) in refused.items():
        with pytest.raises(UserError, match=says):
            check_output(tmp_path / name, sounds)
