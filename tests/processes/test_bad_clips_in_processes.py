"""A clip that cannot be read, in the share of one of two real processes."""

from pathlib import Path

import launching
import numpy as np
import pytest
import soundfile

from pannsdist.runtime.seeding import epoch_order

RATE_HZ = 32000
SETTINGS = """\
base: {base}
model: {{name: panns_cnn6}}
data: {{name: folder, params: {{root: sounds}}, workers: 0}}
train: {{epochs: 1, batch_size: 2, crop_s: 0.5}}
"""
SCRIPT = Path(__file__).parent / "scripts" / "fitting.py"


@pytest.fixture
def folder(tmp_path):
    """A working folder with settings and sounds: eight to train on in two classes, four to evaluate."""
    work = tmp_path / "work"
    for split, count in (("train", 4), ("valid", 2)):
        for label, pitch_hz in (("high", 2000), ("low", 200)):
            (work / "sounds" / split / label).mkdir(parents=True)
            for number in range(count):
                time_s = np.arange(RATE_HZ // 2) / RATE_HZ
                sound = 0.3 * np.sin(2 * np.pi * (pitch_hz + 10 * number) * time_s)
                soundfile.write(work / "sounds" / split / label / f"{number}.wav", sound, RATE_HZ)
    (work / "settings.yaml").write_text(SETTINGS.format(base=launching.CONFIGS / "base.yaml"))
    return work


def read_by(rank, step, folder):
    """The clip that a process reads in a step of the first epoch, where each reads one clip a step."""
    clips = sorted((folder / "sounds" / "train").rglob("*.wav"))
    return clips[epoch_order(len(clips), seed=0, epoch=1)[(step - 1) * 2 + rank]]


def clip_id(path, folder):
    return path.relative_to(folder / "sounds").as_posix()


def test_a_bad_clip_of_one_process_ends_both_with_its_name(folder):
    bad = read_by(1, 2, folder)
    bad.write_bytes(b"no sound at all")
    launched = launching.train(folder / "settings.yaml", processes=2, cwd=folder)
    assert (launched.exit_code, launched.exit_codes) == (2, (2, 2)), str(launched)
    wrong = f"error: clip '{clip_id(bad, folder)}' ({bad.relative_to(folder)}): libsndfile cannot decode it"
    assert wrong in launched.logs[0]
    assert "repair or remove it, or set data.on_bad_clip=skip to skip it" in launched.logs[0]
    assert not any("Traceback" in log for log in launched.logs), str(launched)
    assert not (folder / "runs" / "run" / "best_model").exists()


def test_bad_clips_that_are_skipped_leave_both_processes_with_the_same_weights(folder):
    bad = read_by(1, 2, folder)
    bad.write_bytes(b"")
    unheard = folder / "sounds" / "valid" / "low" / "1.wav"
    unheard.unlink()
    unheard.write_bytes(b"no sound at all")
    common = ("data.on_bad_clip=skip", "train.epochs=2")
    part, whole = ("name=part", "train.batch_size=4"), ("name=whole", "train.batch_size=2")
    launched = launching.launch(SCRIPT, "settings.yaml", *common, *part, "--", *common, *whole, cwd=folder)
    assert launched.exit_codes == (0, 0), str(launched)
    for name in ("part", "whole"):  # of the batch of a process, part of the clips are bad, or the only one
        left, right = (np.load(folder / f"{name}.{rank}.npz") for rank in range(2))
        assert left.files == right.files and len(left.files) > 10
        assert all(np.array_equal(left[key], right[key]) for key in left.files), name
        assert all(np.isfinite(left[key]).all() for key in left.files), name
        noted = (folder / "runs" / name / "bad_clips.txt").read_text().splitlines()
        assert sorted(line.partition("'")[2].partition("'")[0] for line in noted) == sorted(
            clip_id(path, folder) for path in (bad, unheard)
        )
        assert any(line.endswith("the file is empty") for line in noted)
