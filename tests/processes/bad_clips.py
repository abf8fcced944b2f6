"""Sounds of which some cannot be read, for runs of two processes."""

import launching
import numpy as np
import soundfile

from pannsdist.runtime.seeding import epoch_order

RATE_HZ = 8000
SETTINGS = """\
base: {base}
model: {{name: tiny}}
data: {{name: folder, params: {{root: sounds}}, workers: 0}}
train: {{epochs: 1, batch_size: 2, crop_s: 0.3}}
valid: {{batch_size: 1}}  # so that the bad clip, the last one, is read by the second process
"""


def sounds(work, **further):
    """Write settings and sounds into a working folder: eight to train on in two classes, four to evaluate.

    `further` splits have the given number of sounds of each class.
    """
    for split, count in {"train": 4, "valid": 2, **further}.items():
        for label, pitch_hz in (("high", 2000), ("low", 200)):
            (work / "sounds" / split / label).mkdir(parents=True)
            for number in range(count):
                time_s = np.arange(RATE_HZ // 2) / RATE_HZ
                sound = 0.3 * np.sin(2 * np.pi * (pitch_hz + 10 * number) * time_s)
                soundfile.write(work / "sounds" / split / label / f"{number}.wav", sound, RATE_HZ)
    (work / "settings.yaml").write_text(SETTINGS.format(base=launching.CONFIGS / "base.yaml"))


def read_by(rank, step, work):
    """The clip that a process reads in a step of the first epoch, where each reads one clip a step."""
    clips = sorted((work / "sounds" / "train").rglob("*.wav"))
    return clips[epoch_order(len(clips), seed=0, epoch=1)[(step - 1) * 2 + rank]]


def clip_id(path, work):
    return path.relative_to(work / "sounds").as_posix()


def skipped_clips(script, work):
    """Runs that skip a bad clip of each split: part of a process's clips of a step, or its only one."""
    sounds(work)
    for path in bad_clips(work):
        path.unlink()
        path.write_bytes(b"" if "train" in path.parts else b"no sound at all")
    common = ("data.on_bad_clip=skip", "train.epochs=2")
    part, whole = ("name=part", "train.batch_size=4"), ("name=whole", "train.batch_size=2")
    frozen = ("name=frozen", "train.batch_size=2", "train.freeze=[body]", "model.params.plain=true")
    runs = (*common, *part, "--", *common, *whole, "--", *common, *frozen)
    return launching.Command((script, "settings.yaml", *runs), work)


def tested(work):
    """A run with a test split of six clips, in batches that its processes cannot divide equally."""
    sounds(work, test=3)
    return launching.training(work / "settings.yaml", "name=tested", "valid.batch_size=2", cwd=work)


def bad_clips(work):
    """The clips that `skipped_clips` spoils."""
    return read_by(1, 2, work), work / "sounds" / "valid" / "low" / "1.wav"
