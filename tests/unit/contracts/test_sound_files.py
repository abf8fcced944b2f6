"""Which files of a folder are sounds, and what is left out: one rule, by real files."""

import os

import numpy as np
import pytest
import soundfile

from pannsdist.builtin.augmentations.noise import Noise, NoiseParams
from pannsdist.builtin.folder import Folder, FolderParams
from pannsdist.contracts.sound_files import SOUND_FILE_ENDINGS, find_sound_files, how_to_read, is_sound
from pannsdist.inference.sounds import sound_files
from pannsdist.runtime.errors import UserError

USUAL = {
    "AIFF": ("aiff", "aif", "aifc"),
    "AU": ("au", "snd"),
    "AVR": ("avr",),
    "CAF": ("caf",),
    "FLAC": ("flac",),
    "HTK": ("htk",),
    "SVX": ("iff", "svx", "8svx"),
    "MP3": ("mp3", "mp2", "mp1", "mpga"),
    "OGG": ("ogg", "oga", "opus"),
    "PAF": ("paf", "fap"),
    "PVF": ("pvf",),
    "RF64": ("rf64",),
    "SD2": ("sd2",),
    "SDS": ("sds",),
    "IRCAM": ("sf", "ircam"),
    "VOC": ("voc",),
    "W64": ("w64",),
    "WAV": ("wav", "wave", "bwf"),
    "NIST": ("sph", "nist"),
    "WAVEX": ("amb",),
    "WVE": ("wve",),
    "XI": ("xi",),
}
"""Endings of each format of libsndfile."""
NOT_BY_ENDING = {"RAW", "MAT4", "MAT5", "MPC2K"}
"""Without a header, or with an ending that mostly is something else: named among what is left out."""
WANTED = ("0.wav", "1.WAV", "broken.wav", "deep/er/2.W64", "empty.wav", "linked.wav", "odd.wav/3.aifc", "trailing.wav ")
LEFT_OUT = {
    "in a format that libsndfile does not read": ("a.dsf", "b.AAX", "deep/c.oma"),
    "without a header": ("d.raw",),
    "in a format that is rarely sound": ("e.mat",),
    "hidden": ("._0.wav", ".secret.mp4", ".x.FLAC"),
    "hidden folder(s)": (".git", "__MACOSX", "deep/.cache"),
    "link(s) to folders": ("loop",),
    "no regular file": ("pipe.wav",),
}
UNMENTIONED = (
    "Thumbs.db",
    ".DS_Store",
    "notes.txt",
    "wav",
    "labels.csv",
    "._notes.txt",
    "__MACOSX/._0.wav",
    ".git/x.wav",
)


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def mixed(tmp_path):
    """A folder with everything that lies in folders of sounds."""
    root = tmp_path / "mixed"
    links = {"broken.wav": tmp_path / "nowhere.wav", "linked.wav": root / "0.wav", "loop": root}
    named = [name for names in LEFT_OUT.values() for name in names]
    touch(root, *(name for name in (*WANTED, *UNMENTIONED) if name not in links))
    touch(root, *(f"{name}/inside.wav" for name in (".git", "__MACOSX", "deep/.cache")))
    touch(root, *(name for name in named if "." in name[1:] and name not in ("pipe.wav", "deep/.cache")))
    for name, target in links.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe.wav")
    return root


def test_what_counts_and_what_is_left_out(mixed):
    found = find_sound_files(mixed)
    assert [path.relative_to(mixed).as_posix() for path in found.files] == sorted(WANTED)
    assert {one.kind.what: one.names for one in found.skipped} == LEFT_OUT


def test_commands_and_plugins_find_the_same(mixed):
    expected = find_sound_files(mixed)
    assert sound_files([mixed]) == expected
    noise = Noise(NoiseParams(kind="folder", folder=str(mixed)))
    assert (noise.sounds, noise.skipped) == (expected.files, expected.skipped)
    touch(mixed.parent, "other/0.wav")
    for name in ("broken.wav", "loop"):  # a dataset must not lose clips: it refuses these links
        with pytest.raises(UserError, match=f"link mixed/{name} in {mixed.parent}"):
            Folder(FolderParams(str(mixed.parent)))
        (mixed / name).unlink()
    dataset, found = Folder(FolderParams(str(mixed.parent))), find_sound_files(mixed)
    clips = [clip.source for split in dataset.splits for clip in dataset.clips(split) if clip.labels == ("mixed",)]
    assert sorted(clips) == list(found.files)
    assert [one.names for one in dataset.skipped] == [
        tuple(f"mixed/{name}" for name in one.names) for one in found.skipped
    ]


def test_every_format_that_libsndfile_reads_is_found_by_its_usual_endings(tmp_path):
    assert USUAL.keys() | NOT_BY_ENDING == soundfile.available_formats().keys()
    for form, endings in USUAL.items():
        assert {f".{ending}" for ending in endings} <= set(SOUND_FILE_ENDINGS)
        subtype = {"WVE": "ALAW", "XI": "DPCM_16", "SVX": "PCM_16"}.get(form)
        path = tmp_path / f"{form}.{endings[0]}"
        soundfile.write(path, np.full(8000, 0.1), 8000, format=form, subtype=subtype)
        assert len(soundfile.read(path)[0]) > 0
        assert is_sound(path.name.upper())


def test_what_is_left_out_is_counted_and_named_with_a_remedy(tmp_path):
    touch(tmp_path, *(f"my {number}.dsf" for number in range(5)))
    (skipped,) = find_sound_files(tmp_path).skipped
    assert str(skipped) == (
        "5 file(s) in a format that libsndfile does not read (my 0.dsf, my 1.dsf, my 2.dsf and 2 more); "
        f"convert: ffmpeg -i '{tmp_path}/my 0.dsf' '{tmp_path}/my 0.flac'"
    )
    assert "ffmpeg -f s16le -ar RATE_HZ" in how_to_read(tmp_path / "a.raw")
    assert how_to_read(tmp_path / "a.wav") == how_to_read(tmp_path / "a.txt") == ""
    with pytest.raises(UserError, match=r"contains no sound file\n  left out: 5 file\(s\) in a format"):
        sound_files([tmp_path])


def test_a_folder_dataset_without_readable_sounds_says_what_is_there(tmp_path):
    touch(tmp_path, "dog/a.wav", "cat/b.dsf")
    with pytest.raises(UserError, match=r"cat/ .* has no audio\n  left out: 1 file\(s\) in a format .*ffmpeg -i"):
        Folder(FolderParams(str(tmp_path)))


def test_a_link_to_itself_is_a_file_that_cannot_be_read_and_ends_no_search(tmp_path):
    touch(tmp_path, "0.wav", ".wav")
    (tmp_path / "itself.wav").symlink_to("itself.wav")
    found = find_sound_files(tmp_path)
    assert [path.name for path in found.files] == ["0.wav", "itself.wav"]
    assert [one.names for one in found.skipped] == [(".wav",)]
