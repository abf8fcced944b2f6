"""A packed dataset has the clips, splits, folds and bytes of the loose one, in plain tar files."""

import json
import os
import re
import resource
import shutil
import signal
import tarfile
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import soundfile
from packed_sounds import RATE_HZ, Loose, content, facts, noise

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.builtin.shards import Shards, ShardsParams
from pannsdist.builtin.tones import Tones, TonesParams
from pannsdist.run.packing import pack as packing
from pannsdist.runtime.errors import BadDataset, CannotWrite


@pytest.fixture
def loose(tmp_path):
    return Loose(tmp_path)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_clips_labels_segments_and_bytes_are_those_of_the_loose_files_in_their_order(loose):
    assert loose.pack() == 0
    before, after = loose.dataset(), loose.packed()
    assert (after.labels, after.multi_label, after.splits) == (before.labels, before.multi_label, before.splits)
    assert facts(after) == facts(before)
    for split in before.splits:
        for one, other in zip(before.clips(split), after.clips(split), strict=True):
            assert content(one) == content(other)
            assert other.source.name.endswith(f":{one.source.name}")
            assert other.source.state().size_bytes == one.source.stat().st_size


def test_a_file_with_several_clips_is_packed_once(loose):
    assert loose.pack() == 0
    clips = [clip for clip in loose.packed().clips("train") if clip.id.startswith("long.wav")]
    assert len(clips) == 3
    assert len({clip.source for clip in clips}) == 1
    with tarfile.open(loose.folder / "packed" / "train-000000.tar") as archive:
        assert sum("long" in name for name in archive.getnames()) == 2  # the sound and its JSON


def test_the_bytes_do_not_depend_on_the_number_of_workers_or_on_when_they_are_written(loose):
    assert loose.pack("--size", "20KB") == 0
    for path in loose.folder.iterdir():
        os.utime(path, (0, 0))
    assert loose.pack("--size", "20KB", "--workers", "2", output=loose.folder / "again") == 0
    assert files(loose.folder / "again") == files(loose.folder / "packed")
    assert len(files(loose.folder / "packed")) > 5


def test_every_fold_is_packed_with_its_own_splits(loose):
    rows = [f"{number}.{('wav', 'flac', 'ogg')[number % 3]},{('dog', 'cat')[number % 2]}" for number in range(12)]
    loose.write(rows, "path,label")
    settings = {"folds": 3, "group": "(*).*"}
    assert (
        loose.pack(*(f"data.params.{key}={value}" for key, value in settings.items()), "data.params.valid_fraction=0.3")
        == 0
    )
    assert Shards.folds(ShardsParams(root=str(loose.folder / "packed"))) == (1, 2, 3)
    for fold in (0, 1, 2, 3):
        fraction = {} if fold else {"valid_fraction": 0.3}
        assert facts(loose.packed(valid_fold=fold)) == facts(loose.dataset(valid_fold=fold, **settings, **fraction))


def test_a_chosen_split_is_packed_alone(loose):
    assert loose.pack("--split", "valid") == 0
    assert loose.packed().splits == ("valid",)
    assert facts(loose.packed())["valid"] == facts(loose.dataset())["valid"]
    assert {name.partition("-")[0] for name in files(loose.folder / "packed")} == {"valid", "clips.npz", "pack.json"}


def test_webdataset_finds_one_sample_per_file(loose):
    """Its rule: what precedes the first dot of the name is the key, and members with one key follow each other."""
    assert loose.pack() == 0
    keys = []
    for shard in ("train-000000.tar", "valid-000000.tar"):
        with tarfile.open(loose.folder / "packed" / shard, "r|") as archive:
            members = [(member.name, archive.extractfile(member).read()) for member in archive]
        for key, group in groupby(members, lambda one: re.fullmatch("((?:.*/|)[^.]+)[.]([^/]*)", one[0])[1]):
            sample = {name.partition(".")[2]: raw for name, raw in group}
            keys.append(key)
            described = json.loads(sample.pop("json"))
            [(ending, raw)] = sample.items()
            for clip in described.get("clips", [described]):
                loose_clip = next(
                    one for split in ("train", "valid") for one in loose.dataset().clips(split) if one.id == clip["id"]
                )
                assert (tuple(clip["labels"]), raw) == (loose_clip.labels, content(loose_clip))
                assert loose_clip.source.suffix == f".{ending}"
                assert [loose.dataset().labels[place] for place in clip["classes"]] == clip["labels"]
    assert len(keys) == len(set(keys)) == 13


def test_members_belong_to_nobody_and_have_plain_names(loose):
    """Names that are long, not UTF-8, or full of dots and blanks come from somewhere else, and are only looked up."""
    strange = [os.fsdecode(b"\xb9\xb8.wav"), "ü" * 100 + ".wav", "a.b c;$(x)'.wav", "-rf.WAV"]
    rows = []
    for number, name in enumerate(strange):
        soundfile.write(os.fsencode(loose.folder / name), noise(number), RATE_HZ, format="WAV")
        rows.append(json.dumps({"path": name, "label": "dog", "split": "train"}))
    rows.append(json.dumps({"path": "1.flac", "label": "cat", "split": "train"}))
    rows.append(json.dumps({"path": "0.wav", "label": "dog", "split": "valid"}))
    loose.table = loose.folder / "clips.jsonl"
    loose.table.write_text("\n".join(rows), encoding="utf-8", errors="surrogateescape")
    assert loose.pack() == 0
    with tarfile.open(loose.folder / "packed" / "train-000000.tar") as archive:
        for member in archive:
            assert re.fullmatch("[0-9]{8}(-[A-Za-z0-9_-]+)?[.][A-Za-z0-9]+", member.name), member.name
            assert (member.uid, member.gid, member.mtime, member.uname, member.isreg()) == (0, 0, 0, "", True)
            assert len(member.name) <= 100
    assert facts(loose.packed()) == facts(loose.dataset())


def test_samples_in_memory_become_wav_files_with_the_same_samples(loose):
    small = {"clips_per_class": 3, "valid_clips_per_class": 1, "duration_s": 0.2, "sample_rate_hz": 8000, "classes": 2}
    assert loose.pack(*(f"data.params.{key}={value}" for key, value in small.items()), name="tones") == 0
    tones, reader = Tones(TonesParams(**small)), ClipReader(8000, 1600)
    packed = loose.packed()
    assert Shards.folds(ShardsParams(root=str(loose.folder / "packed"))) == (1, 2, 3)
    assert facts(packed) == facts(tones)
    for one, other in zip(tones.clips("train"), packed.clips("train"), strict=True):
        read, rate_hz = soundfile.read(other.source.open(), dtype="float32")
        assert rate_hz == 8000
        assert np.array_equal(read, one.source.samples()[0])
        assert np.array_equal(reader.read(one, None), reader.read(other, None))
    with tarfile.open(loose.folder / "packed" / "train-000000.tar") as archive:
        assert next(name for name in archive.getnames() if name.endswith("wav")).endswith("-0000.wav")
    assert facts(loose.packed(valid_fold=2)) == facts(Tones(TonesParams(**small, valid_fold=2)))


@pytest.mark.parametrize(
    ("raw", "said"), [(b"PRIVATE KEY", "cannot decode it"), (b"", "the file is empty"), (None, "could be read")]
)
def test_what_is_no_whole_sound_gets_into_no_pack(loose, capsys, raw, said):
    (loose.folder / "3.wav").write_bytes((loose.folder / "3.wav").read_bytes()[:-900] if raw is None else raw)
    assert loose.pack() == 2
    captured = capsys.readouterr().err
    assert "1 of 13 files are no whole sounds: nothing was packed" in captured
    assert "clip '3.wav'" in captured and said in captured
    assert not (loose.folder / "packed").exists()
    assert loose.pack("data.on_bad_clip=skip") == 0
    assert "clip '3.wav'" in capsys.readouterr().out
    kept = [one for one in facts(loose.dataset())["train"] if one[0] != "3.wav"]
    assert facts(loose.packed())["train"] == kept
    assert not any(b"PRIVATE" in raw for raw in files(loose.folder / "packed").values())


def test_a_folder_with_anything_in_it_is_left_alone(loose, capsys):
    (loose.folder / "packed").mkdir()
    (loose.folder / "packed" / "thesis.txt").write_text("mine")
    assert loose.pack() == 2
    assert "exists, and is not empty" in capsys.readouterr().err
    assert files(loose.folder / "packed") == {"thesis.txt": b"mine"}
    (loose.folder / "packed" / "thesis.txt").unlink()
    assert loose.pack() == 0


def packed_with(loose, at_start=None, at_end=None):
    """Pack with something that happens before the first byte is written, or after the last one of a sound."""

    @contextmanager
    def bar(what, _):
        if what == "packed" and at_start:
            at_start()
        yield lambda _: None
        if what == "packed" and at_end:
            at_end()

    return packing.pack(loose.inventory(), packing.PackOrder(loose.folder / "packed", 10**9, 0, False, bar))


def in_child(work):
    """The exit code of a process that does this alone."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(work())
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_killed_pack_leaves_nothing_that_is_taken_for_one_and_can_be_repeated(loose):
    names = names_in(loose.folder)
    assert in_child(lambda: packed_with(loose, at_end=lambda: os.kill(os.getpid(), signal.SIGKILL))) == -signal.SIGKILL
    assert all(name.startswith(".") for name in names_in(loose.folder) - names)
    assert loose.pack() == 0
    assert names_in(loose.folder) - names == {"packed", "pack.yaml"}
    assert facts(loose.packed()) == facts(loose.dataset())


def test_a_disk_without_room_is_refused_before_anything_is_written(loose, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 5000))
    assert loose.pack() == 2
    captured = capsys.readouterr().err
    assert "5,000 are free there" in captured
    assert "next: df -h" in captured
    assert not (loose.folder / "packed").exists()


@pytest.mark.parametrize("duration_s", [0.1, 0.5])
def test_a_file_that_changes_while_it_is_packed_ends_the_pack(loose, duration_s):
    def change():
        soundfile.write(loose.folder / "3.wav", noise(3, duration_s), RATE_HZ)

    with pytest.raises(BadDataset, match="was changed while the dataset was packed"):
        packed_with(loose, at_start=change)
    assert not [name for name in names_in(loose.folder) if "packed" in name]


def test_a_full_disk_is_said_and_leaves_nothing(loose):
    """A limit of the size of files stands for it: the shards cannot be written."""

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            packed_with(loose)
        except CannotWrite as error:
            return 7 if "train-000000.tar: File too large" in str(error) else 8
        return 0

    assert in_child(limited) == 7
    assert not [name for name in names_in(loose.folder) if "packed" in name]


def test_two_packs_into_one_folder_do_not_meet(loose):
    codes = []
    packed_with(loose, at_start=lambda: codes.append(in_child(loose.pack)))
    assert codes == [2]
    assert facts(loose.packed()) == facts(loose.dataset())


@pytest.mark.parametrize("size", ["0", "9KB", "1XB", "1e3GB", "1GB;rm", "nan", "99999999TB"])
def test_a_size_that_is_none_is_refused(loose, capsys, size):
    with pytest.raises(SystemExit) as ended:
        loose.pack("--size", size)
    assert ended.value.code == 2
    assert "is no size from 10KB" in capsys.readouterr().err


def test_a_pack_can_be_packed_again_with_the_same_content(loose):
    assert loose.pack() == 0
    packed = loose.folder / "packed"
    assert loose.pack(f"data.params.root={packed}", output=loose.folder / "again", name="shards") == 0
    assert files(loose.folder / "again") == files(packed)
