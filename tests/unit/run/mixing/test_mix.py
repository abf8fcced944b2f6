"""`pannsdist data mix`: files, tables, the same bytes whoever makes them and however often it is stopped."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from mixed_sounds import RATE_HZ, Isolated, files, noise, silence

from pannsdist.cli.command_line import main
from pannsdist.registry import Catalog
from pannsdist.run.mixing import mix as mixing
from pannsdist.run.mixing.recipe import load_recipe
from pannsdist.runtime.errors import CannotWrite


@pytest.fixture
def isolated(tmp_path):
    return Isolated(tmp_path)


def rows(path):
    header, *lines = path.read_text().splitlines()
    assert header == "filename\tonset\toffset\tevent_label"
    return [line.split("\t") for line in lines]


def test_a_folder_has_sounds_labels_tables_and_what_explains_them(isolated, capsys):
    assert isolated.mix() == 0
    folder = isolated.folder / "mixed"
    tables = {f"{split}{ending}" for split in ("train", "valid") for ending in (".tsv", "_durations.tsv")}
    sounds = {f"{split}/{split}_{n:06d}" for split, count in (("train", 6), ("valid", 3)) for n in range(count)}
    named = {f"{name}{ending}" for name in sounds for ending in (".wav", ".jams")}
    assert files(folder).keys() == {"soundscapes.json", "clips.jsonl", *tables, *named}
    for name in sounds:
        found = soundfile.info(folder / f"{name}.wav")
        assert (found.frames, found.samplerate, found.channels, found.subtype) == (16000, RATE_HZ, 1, "PCM_16")
    assert {row[0] for row in rows(folder / "valid.tsv")} == {f"{name}.wav" for name in sounds if "valid" in name}
    assert (folder / "valid_durations.tsv").read_text().splitlines()[1] == "valid/valid_000000.wav\t2.0"
    printed = capsys.readouterr().out
    assert "9 soundscapes in" in printed
    assert f"data.name=manifest data.params.path={folder}/clips.jsonl" in printed


def test_tables_manifest_and_jams_say_the_same(isolated):
    assert isolated.mix("events.count=[choose,[0,3]]") == 0
    folder = isolated.folder / "mixed"
    in_table = [tuple(row) for split in ("train", "valid") for row in rows(folder / f"{split}.tsv")]
    in_manifest, in_jams = [], []
    for line in (folder / "clips.jsonl").read_text().splitlines():
        clip = json.loads(line)
        events = [(clip["path"], *map(str, event.values())) for event in clip["events"]]
        in_manifest += events or [(clip["path"], "", "", "")]
        (annotation,) = json.loads((folder / clip["path"]).with_suffix(".jams").read_text())["annotations"]
        events = [one for one in annotation["data"] if one["value"]["role"] == "foreground"]
        described = [
            (clip["path"], str(one["time"]), str(round(one["time"] + one["duration"], 6)), one["value"]["label"])
            for one in events
        ]
        in_jams += described or [(clip["path"], "", "", "")]
    assert in_table == in_manifest == in_jams
    assert any(row[3] for row in in_table) and any(not row[3] for row in in_table)


def test_an_event_is_heard_where_its_row_says_so_and_explained_by_its_source(isolated):
    quiet = ("events.count=[const,1]", "events.fade_s=0", "events.snr_db=[const,40]", "background.level_lufs=-60")
    assert isolated.mix(*quiet, "trim.hangover_s=0", "dtype=float32") == 0
    folder = isolated.folder / "mixed"
    for name, onset, offset, label in rows(folder / "train.tsv"):
        waveform, _ = soundfile.read(folder / name)
        first, end = round(float(onset) * RATE_HZ), round(float(offset) * RATE_HZ)
        loud = np.flatnonzero(np.abs(waveform) > 0.02)
        assert first <= loud[0] <= first + 10 and end - 10 <= loud[-1] < end
        jams = json.loads((folder / name).with_suffix(".jams").read_text())
        value = jams["annotations"][0]["data"][1]["value"]
        source, _ = soundfile.read(isolated.folder / "sounds" / value["source_file"])
        start = round(value["source_time"] * RATE_HZ)
        part = source[start : start + end - first]
        assert np.corrcoef(waveform[first:end], part)[0, 1] > 0.999
        assert value["label"] == label == value["source_file"].split("/")[1]
        assert value["source_file"].startswith("train/"), "held-out clips stay out of it"


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_bytes_are_the_same_on_any_number_of_processes(isolated, workers):
    assert isolated.mix() == 0
    assert isolated.mix("--workers", workers, output="again") == 0
    assert files(isolated.folder / "again") == files(isolated.folder / "mixed")


def test_more_soundscapes_leave_the_first_ones_as_they_are_and_another_seed_changes_all(isolated):
    assert isolated.mix() == 0
    assert isolated.mix("soundscapes.train=9", output="more") == 0
    assert isolated.mix("seed=1", output="other") == 0
    few, more, other = (files(isolated.folder / name) for name in ("mixed", "more", "other"))
    sounds = [name for name in few if name.endswith((".wav", ".jams"))]
    assert all(few[name] == more[name] for name in sounds)
    assert not any(few[name] == other[name] for name in sounds)


def mixed_with(isolated, at, workers=0, **where):
    """Mix with something that is called with the number of soundscapes that are done."""

    @contextmanager
    def bar(what, _):
        done = []

        def progress(count):
            done.append(count)
            if what == "mixed":
                at(len(done))

        yield progress

    output, place = isolated.folder / where.get("output", "mixed"), f"data.params.root={isolated.folder / 'sounds'}"
    checked = load_recipe(isolated.recipe(), [place])
    return mixing.mix(checked, Catalog.installed(), mixing.MixOrder(output, workers, bar))


def in_child(work):
    """The exit code of a process that does this alone."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(work())
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("after", [1, 4, 9])
def test_a_killed_mix_is_continued_to_the_same_bytes(isolated, after, capsys):
    assert isolated.mix(output="whole") == 0

    def kill(done):
        if done == after:
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: mixed_with(isolated, kill)) == -signal.SIGKILL
    found = files(isolated.folder / "mixed")
    assert "train.tsv" not in found and "soundscapes.json" in found
    assert isolated.mix() == 0
    assert f"9 soundscapes in {isolated.folder / 'mixed'}; {after} of them were there" in capsys.readouterr().out
    assert files(isolated.folder / "mixed") == files(isolated.folder / "whole")
    assert not [path.name for path in isolated.folder.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_a_command_with_workers_that_is_killed_anywhere_leaves_no_half_file_that_counts(isolated):
    changes = {"soundscapes": {"train": 300, "valid": 3}}
    assert isolated.mix(output="whole", changes=changes) == 0
    words = isolated.words("--workers", 2, changes=changes)
    folder = isolated.folder / "mixed"
    for enough in (5, 150):
        command = subprocess.Popen([sys.executable, "-m", "pannsdist", *words], stdout=subprocess.DEVNULL)
        while len(list(folder.glob("train/*.jams"))) < enough and command.poll() is None:
            time.sleep(0.01)
        command.kill()
        assert command.wait() == -signal.SIGKILL
    whole = files(isolated.folder / "whole")
    left = {name: content for name, content in files(folder).items() if not name.endswith(".part")}
    assert all(whole[name] == content for name, content in left.items())
    assert isolated.mix("--workers", 2, changes=changes) == 0
    assert files(folder) == whole


@pytest.mark.parametrize("damage", [b"", b"RIFF", None])
def test_a_soundscape_that_was_damaged_or_removed_is_made_again(isolated, damage):
    assert isolated.mix() == 0
    before = files(isolated.folder / "mixed")
    for name in ("train/train_000003.wav", "train/train_000004.jams"):
        path = isolated.folder / "mixed" / name
        path.unlink() if damage is None else path.write_bytes(damage)
    (isolated.folder / "mixed" / "train" / "train_000009.wav.77-ab.part").write_bytes(b"x")
    assert isolated.mix() == 0
    assert files(isolated.folder / "mixed") == before


def test_soundscapes_of_another_recipe_are_not_continued(isolated, capsys):
    assert isolated.mix() == 0
    before = files(isolated.folder / "mixed")
    assert isolated.mix("seed=1", "events.count=[const,2]") == 2
    error = capsys.readouterr().err
    assert f"-o {isolated.folder / 'mixed'} has soundscapes that this command would not make" in error
    assert "recipe.seed: 0 there, 1 now" in error
    assert 'recipe.events.count: ["uniform", 1, 4] there, ["const", 2] now' in error
    isolated.add("train/dog/1.wav", np.concatenate([silence(0.2), noise(0.55, 99), silence(0.3)]))
    assert isolated.mix() == 2
    assert "splits.train.sources.dog.train/dog/1.wav.content" in capsys.readouterr().err
    assert files(isolated.folder / "mixed") == before


def test_a_folder_with_something_else_is_refused(isolated, capsys):
    (isolated.folder / "mixed").mkdir()
    (isolated.folder / "mixed" / "notes.txt").touch()
    assert isolated.mix() == 2
    assert "exists, and is not empty" in capsys.readouterr().err
    assert files(isolated.folder / "mixed").keys() == {"notes.txt"}


def test_two_mixes_into_one_folder_do_not_meet(isolated):
    codes = []

    def other(done):
        if done == 2:
            codes.append(isolated.mix())

    mixed_with(isolated, other)
    assert codes == [2]
    assert isolated.mix() == 0


def test_a_disk_without_room_is_refused_before_anything_is_mixed(isolated, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 5000))
    assert isolated.mix() == 2
    error = capsys.readouterr().err
    assert "the soundscapes need 361,728 bytes, and 5,000 are free there" in error
    assert "next: df -h" in error
    assert not list((isolated.folder / "mixed").glob("*/*.wav"))


def test_a_disk_that_fills_up_is_said_and_the_mix_is_continued(isolated):
    """A limit of the size of files stands for it."""
    assert isolated.mix(output="whole") == 0

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            mixed_with(isolated, lambda _: None)
        except CannotWrite as error:
            return 7 if "train_000000.wav: File too large" in str(error) else 8
        return 0

    assert in_child(limited) == 7
    assert not list((isolated.folder / "mixed").glob("*/*"))
    assert isolated.mix() == 0
    assert files(isolated.folder / "mixed") == files(isolated.folder / "whole")


def test_clips_that_cannot_be_used_end_it_with_their_names_or_are_left_out(isolated, capsys):
    isolated.add("train/dog/silent.wav", silence(0.5))
    isolated.add("train/cat/long.wav", noise(9.0))
    (isolated.folder / "sounds" / "train" / "dog" / "text.wav").write_text("no sound")
    assert isolated.mix("trim.longest_clip_s=5") == 2
    error = capsys.readouterr().err
    assert "3 of 15 clips cannot be used: nothing was mixed" in error
    assert "silent.wav): nothing in it sounds for 0.05 s (trim.shortest_s)" in error
    assert "long.wav): it is longer than 5 s (trim.longest_clip_s)" in error
    assert "text.wav" in error and "data.on_bad_clip=skip" in error
    assert not (isolated.folder / "mixed").exists()
    assert isolated.mix("trim.longest_clip_s=5", "data.on_bad_clip=skip") == 0
    assert "clips left out: 3" in capsys.readouterr().out


def test_a_label_of_which_nothing_is_left_is_named(isolated, capsys):
    for number in range(3):
        isolated.add(f"valid/dog/{number}.wav", silence(0.5))
    assert isolated.mix("data.on_bad_clip=skip") == 2
    assert "split 'valid' has no clip of dog that can be used" in capsys.readouterr().err
    assert isolated.mix("data.on_bad_clip=skip", "labels=[cat]") == 0


def test_recorded_backgrounds_are_those_of_the_split(isolated, capsys):
    given = []
    for split, seed in (("train", 1), ("valid", 2)):
        isolated.add(f"../{split}_backgrounds/street.wav", noise(3.0, 50 + seed), 2 * RATE_HZ)
        given.append(f"background.sounds.{split}={isolated.folder}/{split}_backgrounds")
    assert isolated.mix(*given) == 0
    folder = isolated.folder / "mixed"
    found = json.loads((folder / "valid" / "valid_000000.jams").read_text())["annotations"][0]["data"][0]["value"]
    assert (found["role"], found["source_file"], found["event_duration"]) == ("background", "street.wav", 2.0)
    record = json.loads((folder / "soundscapes.json").read_text())["splits"]
    assert record["train"]["backgrounds"] != record["valid"]["backgrounds"]
    assert isolated.mix("--workers", 2, *given, output="again") == 0
    assert files(isolated.folder / "again") == files(folder)
    isolated.add("../valid_backgrounds/silent.wav", silence(3.0))
    assert isolated.mix(*given, output="third") == 2
    assert "silent.wav): it is silent, and a background has a level" in capsys.readouterr().err


def test_samples_may_be_floats(isolated):
    assert isolated.mix("dtype=float32") == 0
    found = soundfile.info(isolated.folder / "mixed" / "train" / "train_000000.wav")
    assert (found.subtype, found.frames) == ("FLOAT", 16000)


def test_workers_import_neither_paddle_nor_scipy_before_they_need_it():
    code = "import sys, pannsdist.run.mixing.writing, pannsdist.run.mixing.listening as _; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"paddle", "scipy"} & set(done.stdout.split())


def test_the_keys_of_a_recipe_are_printed_with_what_they_mean(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["data", "mix", "--keys"])
    assert caught.value.code in (0, None)
    lines = capsys.readouterr().out.splitlines()
    assert "events.most_at_once = 3   # events that may sound at one time" in lines
    assert all("   # " in line for line in lines)
