"""Packed sounds are read in place; a pack that is not as it was written is refused, or ends the run."""

import hashlib
import io
import json
import os
import pickle
import shutil
import tarfile

import numpy as np
import pytest
import soundfile
from packed_sounds import RATE_HZ, Loose, content, facts, noise

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.builtin.shards import sound
from pannsdist.builtin.shards.sound import PackedSound
from pannsdist.cli.command_line import main
from pannsdist.contracts import shard_manifest
from pannsdist.contracts.shard_columns import Columns, encode_columns
from pannsdist.contracts.tar_members import member_header
from pannsdist.run.data_record import data_record
from pannsdist.run.planning.data import load_data
from pannsdist.runtime.errors import CannotRead, UserError

READER = ClipReader(RATE_HZ, 1600)


@pytest.fixture(autouse=True)
def _nothing_was_read_before():
    sound._last.clear()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A dataset and its pack; nobody changes them."""
    loose = Loose(tmp_path_factory.mktemp("loose"))
    assert loose.pack("--size", "60KB") == 0
    return loose


@pytest.fixture
def packed(original, tmp_path):
    """A copy of the pack, to be damaged."""
    shutil.copytree(original.folder / "packed", tmp_path / "packed")
    loose = object.__new__(Loose)
    loose.folder, loose.table = tmp_path, original.table
    return loose


def read_all(dataset):
    return [READER.read(clip, None) for split in dataset.splits for clip in dataset.clips(split)]


def check(packed, capsys):
    """`data check` on the pack: (exit code, report)."""
    (packed.folder / "c.yaml").write_text("{name: c, model: {name: panns_cnn6}, data: {name: shards}}")
    place = f"data.params.root={packed.folder / 'packed'}"
    code = main(["data", "check", "--format", "json", "-c", str(packed.folder / "c.yaml"), "--workers", "0", place])
    said = capsys.readouterr()
    assert said.out, said.err
    return code, json.loads(said.out)


def test_crops_are_those_of_the_loose_files(original):
    for split in ("train", "valid"):
        for one, other in zip(original.dataset().clips(split), original.packed().clips(split), strict=True):
            for seed in range(3):
                crops = (ClipReader(6000, 500).read(clip, np.random.default_rng(seed)) for clip in (one, other))
                assert np.array_equal(*crops)


def test_a_source_is_equal_by_value_and_goes_to_workers(original):
    sources = [clip.source for clip in original.packed().clips("train")]
    again = pickle.loads(pickle.dumps(sources))
    assert again == sources == [clip.source for clip in original.packed().clips("train")]
    assert len({*again, *sources}) == len(set(sources)) == 9
    assert content(original.packed().clips("train")[0]) == again[0].open().read()


def test_a_large_member_is_a_view_of_the_shard(tmp_path, monkeypatch):
    """Whatever is sought and read, it is as in the file itself, and nothing behind it."""
    monkeypatch.setattr(sound, "WHOLE_BYTES", 1000)
    loose = Loose(tmp_path)
    assert loose.pack() == 0
    clip, other = (dataset.clips("train")[0] for dataset in (loose.dataset(), loose.packed()))
    with clip.source.open("rb") as plain, other.source.open() as view:
        assert not isinstance(view, io.BytesIO)
        for offset, whence, count in ((0, 0, 10), (40, 1, 500), (-9, 2, 100), (10**9, 0, 5), (-30, 1, 7), (3, 0, -1)):
            assert plain.seek(offset, whence) == view.seek(offset, whence)
            assert plain.read(count) == view.read(count)
    assert np.array_equal(READER.read(clip, None), READER.read(other, None))
    assert facts(loose.packed()) == facts(loose.dataset())


def test_the_record_of_the_data_is_that_of_the_loose_files(original):
    """So a checkpoint of one is on the data of the other: ids, labels, sizes, segments and order are equal."""

    class Part:
        def __init__(self, plugin):
            self.plugin = plugin

    Part.entry = type("Entry", (), {"name": "a"})
    records = [data_record(load_data(Part(plugin))) for plugin in (original.dataset(), original.packed())]
    assert records[0] == records[1]
    assert records[0].digest == records[1].digest


def test_a_pack_can_be_moved(packed):
    before = read_all(packed.packed())
    (packed.folder / "packed").rename(packed.folder / "elsewhere")
    (packed.folder / "packed").symlink_to("elsewhere")
    assert all(map(np.array_equal, before, read_all(packed.packed())))


def rewritten(packed, change, of_header=lambda _: None):
    """Change the columns of the table, with checksums that fit, as whoever wants to deceive would."""
    folder = packed.folder / "packed"
    columns = Columns((folder / "clips.npz").read_bytes())
    names = [info.filename.removesuffix(".npy") for info in columns._archive.infolist()]
    arrays = {name: np.lib.format.read_array(columns._content(name)) for name in names}
    table = encode_columns(change(arrays) or arrays)
    (folder / "clips.npz").write_bytes(table)
    content = json.loads((folder / "pack.json").read_text())
    pack = content["pack"]
    pack |= {"table_bytes": len(table), "table_sha256": hashlib.sha256(table).hexdigest()}
    of_header(pack)
    content["sha256"] = shard_manifest._digest(pack)
    (folder / "pack.json").write_text(json.dumps(content))


LIES = {
    "outside": ("file.offset", 0, 10**6, "outside of its shard"),
    "before": ("file.offset", 0, 100, "outside of its shard"),
    "negative offset": ("file.offset", 0, -(2**63), "outside of its shard"),
    "huge": ("file.size", 0, 2**63 - 1, "outside of its shard"),
    "negative size": ("file.size", 0, -1, "outside of its shard"),
    "overlapping": ("file.size", 0, 6000, "on another file"),
    "shard": ("file.shard", 0, 99, "a shard that it does not list"),
    "file": ("clip.file", 1, 4_000_000_000, "but there are 13"),
    "label": ("clip.label_rows", 1, 77, "a clip has label 77, but there are 2"),
    "ends": ("clip.label_ends", 2, 1, "do not fit together"),
    "texts": ("clip.id.ends", 0, -5, "do not fit together"),
    "rows": ("rows.0.0", 0, 15, "clips that it does not list"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_lies_is_refused_before_anything_is_read(packed, lie):
    column, row, value, said = LIES[lie]

    def change(arrays):
        arrays[column][row] = value

    rewritten(packed, change)
    with pytest.raises(UserError, match=r"clips\.npz is damaged") as refused:
        packed.packed()
    assert said in str(refused.value)
    assert "pannsdist data pack" in str(refused.value)


def without(arrays):
    del arrays["file.checksum"]


def longer(arrays):
    arrays["clip.start_s"] = np.append(arrays["clip.start_s"], 0.0)


def retyped(arrays):
    arrays["file.size"] = arrays["file.size"].astype(np.float64)


def latin(arrays):
    arrays["clip.id.utf8"][0] = 0xFF


@pytest.mark.parametrize("change", [without, longer, retyped, latin])
def test_a_table_of_another_form_is_refused(packed, change):
    rewritten(packed, change)
    with pytest.raises(UserError, match=r"clips\.npz is damaged"):
        packed.packed()


@pytest.mark.parametrize("name", ["../secret.tar", "/etc/passwd", "a/b.tar", ".hidden", "", "train\0", 7, None])
def test_a_shard_that_is_elsewhere_is_refused(packed, name):
    rewritten(packed, lambda _: None, lambda pack: pack["shards"][0].update(name=name))
    with pytest.raises(UserError, match=r"pack\.json is damaged.* not that of a file in the folder"):
        packed.packed()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"format": 3}', "written by a newer pannsdist: its format is 3, this one reads format 2"),
        (b'{"format": 0}', "reads format 1"),
        (b"[]", "is damaged"),
        (b"\x80\x04K\x01.", "is damaged"),
        (b"[" * 100_000, "is damaged"),
        (b'{"format": 1, "sha256": "", "pack": []}', "checksum"),
        (b"", "is damaged"),
    ],
)
def test_a_manifest_of_another_version_or_kind_is_refused(packed, content, said):
    (packed.folder / "packed" / "pack.json").write_bytes(content)
    with pytest.raises(UserError, match=said):
        packed.packed()


def test_a_header_that_was_edited_is_refused(packed):
    path = packed.folder / "packed" / "pack.json"
    path.write_text(path.read_text().replace('"cat"', '"cow"'))
    with pytest.raises(UserError, match="was changed after the dataset was packed"):
        packed.packed()


def test_the_table_of_another_pack_is_refused(packed):
    path = packed.folder / "packed" / "clips.npz"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(UserError, match="damaged, or of another pack"):
        packed.packed()
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        packed.packed()


def shard(packed):
    return packed.folder / "packed" / "train-000000.tar"


def test_shards_that_are_missing_cut_short_or_no_files_are_refused_together(packed):
    folder = packed.folder / "packed"
    cut = folder / "train-000001.tar"
    cut.write_bytes(cut.read_bytes()[:-2000])
    shard(packed).unlink()
    (folder / "valid-000000.tar").unlink()
    os.mkfifo(folder / "valid-000000.tar")
    with pytest.raises(UserError) as refused:
        packed.packed()
    for said in ("train-000000.tar is missing", "train-000001.tar has ", "valid-000000.tar is no regular file"):
        assert said in str(refused.value)


def test_a_link_out_of_the_pack_is_refused_and_one_within_followed(packed):
    outside = packed.folder / "other.tar"
    shard(packed).rename(outside)
    shard(packed).symlink_to(outside)
    with pytest.raises(UserError, match="is a link that leads out of"):
        packed.packed()
    shard(packed).unlink()
    outside.rename(packed.folder / "packed" / "inside.tar")
    shard(packed).symlink_to("inside.tar")
    assert len(read_all(packed.packed())) == 15


def as_link(raw, header):
    raw[header + 156] = ord("2")


def renamed(raw, header):
    raw[header : header + 8] = b"00000099"


def resized(raw, header):
    raw[header : header + 512] = member_header("00000000-0.wav", 100)


def in_content(raw, header):
    raw[header + 512 + 60] ^= 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [(as_link, "no file"), (renamed, "no file"), (resized, "no file"), (in_content, "checksum")],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_a_member_that_is_not_as_the_manifest_says_ends_the_run_and_data_check_names_it(packed, capsys, damage, said):
    raw = bytearray(shard(packed).read_bytes())
    damage(raw, 0)
    shard(packed).write_bytes(raw)
    clips = packed.packed().clips("train")
    with pytest.raises(CannotRead, match="the shard is not as its manifest says") as refused:
        READER.read(clips[0], None)
    assert said in str(refused.value)
    assert "train-000000.tar:0.wav" in str(refused.value)
    READER.read(clips[1], None)
    code, report = check(packed, capsys)
    assert code == 2
    assert list(report["unreadable"]) == ["train/0.wav"]


def test_data_check_compares_the_checksum_of_large_members_too(packed, capsys, monkeypatch):
    monkeypatch.setattr(sound, "WHOLE_BYTES", 1000)
    raw = bytearray(shard(packed).read_bytes())
    in_content(raw, 0)
    shard(packed).write_bytes(raw)
    READER.read(packed.packed().clips("train")[0], None)  # noticed by its checksum alone
    code, report = check(packed, capsys)
    assert (code, list(report["unreadable"])) == (2, ["train/0.wav"])
    assert "the checksum of its content is another one" in report["unreadable"]["train/0.wav"]


def test_data_check_passes_a_pack_and_finds_in_it_what_it_finds_in_loose_files(packed, capsys):
    code, report = check(packed, capsys)
    assert (code, report["clips"], report["unreadable"]) == (0, {"train": 11, "valid": 4}, {})


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_shard_that_is_lost_while_a_run_reads_it_ends_the_run(packed, is_gone):
    """Not the clips alone, which a setting could skip."""
    clips = packed.packed().clips("train")
    READER.read(clips[0], None)
    raw = shard(packed).read_bytes()
    shard(packed).unlink()
    if not is_gone:
        shard(packed).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(CannotRead):
        for clip in clips:
            READER.read(clip, None)


def test_a_shard_that_is_replaced_while_a_run_reads_it_is_verified_again(packed):
    clip, other = packed.packed().clips("train")[:2]
    READER.read(clip, None)
    READER.read(other, None)  # the content of the last one is kept
    raw = bytearray(shard(packed).read_bytes())
    in_content(raw, 0)
    replacement = shard(packed).with_name("new")
    replacement.write_bytes(raw)
    replacement.replace(shard(packed))
    with pytest.raises(CannotRead, match="checksum"):
        READER.read(clip, None)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"root": ""}, "data.params.root is empty"),
        ({"root": "nowhere"}, "nowhere does not exist"),
        ({"root": "{}/pack.json"}, "is not a folder"),
        ({"root": "{}/.."}, "is no pack"),
        ({"root": "{}", "valid_fold": 1}, "it was packed without folds"),
    ],
)
def test_settings_that_name_no_pack_or_fold_are_refused(original, params, said):
    params = {**params, "root": params["root"].format(original.folder / "packed")}
    params_of = type(original.packed()).Params
    with pytest.raises(UserError, match=said):
        type(original.packed())(params_of(**params))


def test_sizes_that_octal_digits_cannot_hold_are_read_by_others_too():
    for size in (0, 1, 8**11 - 1, 8**11, 10**15):
        header = member_header("00000001-a.wav", size)
        found = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        assert (len(header), found.name, found.size, found.isreg()) == (512, "00000001-a.wav", size, True)


def test_a_long_file_is_cropped_without_reading_it_whole(tmp_path):
    """A view reads only what the decoder wants of it."""
    loose = Loose(tmp_path)
    soundfile.write(tmp_path / "0.wav", noise(5, 150.0), RATE_HZ)
    assert loose.pack() == 0
    source = loose.packed().clips("train")[0].source
    assert isinstance(source, PackedSound)
    assert source.size_bytes > sound.WHOLE_BYTES
    read = []
    with source.open() as view:
        raw = view.raw
        plain = raw.readinto
        raw.readinto = lambda buffer: read.append(plain(buffer)) or read[-1]
        assert soundfile.info(view).frames == 150 * RATE_HZ
    assert sum(read) < source.size_bytes / 4


EVENTS = [{"onset_s": 0.0625, "offset_s": 0.125, "label": "dog"}, {"onset_s": 0.1, "offset_s": 0.2, "label": "owl"}]


@pytest.fixture
def with_events(tmp_path):
    """Strong, weak and unlabelled clips, of which two are parts of one file."""
    loose = Loose(tmp_path)
    loose.table = tmp_path / "clips.jsonl"
    rows = [
        {"path": "0.wav", "split": "train", "events": EVENTS},
        {"path": "1.flac", "split": "train", "labels": ["dog", "cat"]},
        {"path": "2.ogg", "split": "train"},
        {"path": "long.wav", "split": "train", "start": 0, "duration": 0.25, "events": EVENTS[:1]},
        {"path": "long.wav", "split": "train", "start": 0.5, "duration": 0.25, "events": []},
        {"path": "8.ogg", "split": "valid", "events": EVENTS[1:]},
        {"path": "9.wav", "split": "valid", "labels": []},
    ]
    loose.table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert loose.pack() == 0
    return loose


def test_events_weak_labels_and_unlabelled_clips_are_packed_and_read_back(with_events):
    assert facts(with_events.packed()) == facts(with_events.dataset())
    assert with_events.packed().multi_label
    with tarfile.open(with_events.folder / "packed" / "train-000000.tar") as shard:
        beside = [json.load(shard.extractfile(name)) for name in shard.getnames() if name.endswith(".json")]
    assert beside[0]["events"] == EVENTS
    assert [("is_labelled" in one, "events" in one) for one in beside[1:3]] == [(False, False), (True, False)]
    assert [len(clip["events"]) for clip in beside[3]["clips"]] == [1, 0]


def test_a_pack_with_events_is_of_a_format_of_its_own(with_events, original):
    formats = [
        json.loads((loose.folder / "packed" / "pack.json").read_text())["format"] for loose in (original, with_events)
    ]
    assert formats == [1, 2]


@pytest.mark.parametrize(
    ("column", "row", "value", "said"),
    [
        ("event.label", 0, 9, "an event has label 9, but there are 3"),
        ("clip.event_ends", 0, 9, "do not fit together"),
        ("clip.kind", 0, 3, "a clip is of kind 3"),
        ("clip.kind", 0, 1, "a clip without marked events has some"),
    ],
)
def test_events_that_lie_are_refused(with_events, column, row, value, said):
    def change(arrays):
        arrays[column][row] = value

    rewritten(with_events, change)
    with pytest.raises(UserError, match=r"clips\.npz is damaged") as refused:
        with_events.packed()
    assert said in str(refused.value)
