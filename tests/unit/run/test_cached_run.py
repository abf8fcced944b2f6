"""Runs and commands with a cache of sounds: the same bits in every state of it, and what the plan says about it."""

from pathlib import Path

import numpy as np
import pytest
import small_disks
import soundfile
from small_parts import catalog

from pannsdist import settings
from pannsdist.audio import waveform_cache
from pannsdist.audio.loader import Loader
from pannsdist.cache.pack import ARRAYS
from pannsdist.cache.pruning import packs
from pannsdist.cli.command_line import main
from pannsdist.distributed.fleet import SingleProcessWorld
from pannsdist.run import building
from pannsdist.run.planning.decide import decide
from pannsdist.run.planning.plan_table import plan_table
from pannsdist.runtime.errors import SettingsError
from pannsdist.training.fit_context import ResultSinks

TEXT = """
name: cached
model: {name: small}
data: {name: folder, workers: 0, params: {root: sounds, valid_fraction: 0.25}}
train: {epochs: 2, batch_size: 4, crop_s: 0.25}
optimizer: {learning_rate: 0.02}
"""
RATE_HZ = 11025


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.setattr("pannsdist.cache.keys.SETTLED_NS", 0)
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(TEXT, encoding="utf-8")
    for label in ("high", "low"):
        for number in range(6):
            sound(Path("sounds") / label / f"{number}.flac", number + 6 * (label == "low"))
    yield
    waveform_cache.close_stores()


def sound(path, seed, rate_hz=RATE_HZ):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, rate_hz // 2), rate_hz)


def plan(*overrides):
    chosen, origin = settings.load(Path("run.yaml"), overrides)
    return decide(chosen, origin, catalog(), 1)


def row(*overrides):
    lines = plan_table(plan(*overrides)).splitlines()
    return next((line.split(maxsplit=1)[1] for line in lines if line.startswith("cache ")), "")


def weights(*overrides):
    """Of a run in a process that has read nothing yet."""
    waveform_cache.close_stores()
    made = plan(*overrides)
    network = building.build_network(made)
    building.load_pretrained(made, network, None)
    parts = building.build_parts(made, SingleProcessWorld(), network, Loader(0))
    progress = parts.trainer.restore(None)
    sinks = ResultSinks([], lambda *_: None, lambda _: None)
    parts.trainer.fit(progress, parts.data, parts.split, sinks, lambda: False)
    return network.arrays()


def assert_equal(left, right):
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_a_run_has_the_same_weights_in_every_state_of_the_cache(monkeypatch):
    expected = weights("data.cache=off")
    assert not Path("home").exists()
    assert_equal(weights("data.cache=kept"), expected)
    (arrays,) = Path("kept").rglob(f"*{ARRAYS}")
    with monkeypatch.context() as closed:
        closed.setattr("pannsdist.audio.waveform_cache.open_sound", None)  # no source is opened
        assert_equal(weights("data.cache=kept"), expected)
    content = bytearray(arrays.read_bytes())
    content[::3001] = bytes(len(content[::3001]))
    arrays.write_bytes(bytes(content))
    assert_equal(weights("data.cache=kept"), expected)
    assert_equal(weights("data.cache=kept", "data.cache_limit_gb=0.00001"), expected)
    rounded = weights("data.cache_dtype=int16", "data.cache=off")
    assert any((rounded[name] != expected[name]).any() for name in expected)
    assert_equal(weights("data.cache_dtype=int16", "data.cache=kept"), rounded)


def test_the_plan_says_what_is_cached_how_large_and_where(tmp_path):
    home = tmp_path / "home"
    assert row() == f"12 sounds at 8000 Hz, about 1 MB, in {home}/arrays"
    assert row("data.cache=off") == row("data.cache_limit_gb=0") == ""
    assert row("data.cache_limit_gb=0.00001") == "off: about 1 MB are more than data.cache_limit_gb=1e-05"
    assert row("data.cache_limit_gb=0.00001", "data.cache=here").endswith("cache_limit_gb=1e-05: as much as fits")


def test_sounds_that_cost_no_work_are_not_cached_by_themselves():
    for path in Path("sounds").rglob("*.flac"):
        path.unlink()
        sound(path.with_suffix(".wav"), 0, 8000)
    assert row() == ""
    assert row("data.cache=here").startswith("12 sounds")


def test_without_room_on_the_disk_there_is_no_cache(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    if not small_disks.mount(tmp_path / "disk", "64k"):
        pytest.skip("a small disk needs the right to mount")
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "disk"))
    assert row().startswith("off: about 1 MB are more than there is room for in")
    small_disks.unmount(tmp_path / "disk")


@pytest.mark.parametrize(
    "place", ["run.yaml", "run.yaml/below", "sounds/high", "sounds/high/cache", "sounds", ".", "link"]
)
def test_a_folder_that_cannot_be_one_is_refused(place):
    Path("link").symlink_to("sounds")
    with pytest.raises(SettingsError, match=r"data\.cache"):
        plan(f"data.cache={place}")


def command(*arguments):
    waveform_cache.close_stores()
    Path("data.yaml").write_text(
        "{name: c, model: {name: panns_cnn6}, data: {name: folder, params: {root: sounds, valid_fraction: 0.25}}}"
    )
    return main(["data", "cache", "-c", "data.yaml", "--workers", "0", *arguments])


def test_the_command_fills_a_cache_and_verifies_it(capsys):
    assert command("--check", "data.cache=kept") == 2
    assert "clips: 12, all of each in the cache: 0" in capsys.readouterr().out
    assert command("data.cache=kept") == 0
    assert "clips: 12, all of each in the cache: 12" in capsys.readouterr().out
    size = sum(pack.size for pack in packs(Path("kept")))
    assert command("data.cache=kept") == 0
    assert sum(pack.size for pack in packs(Path("kept"))) == size
    assert command("--check", "data.cache=kept") == 0
    assert "arrays: 24 in 1 packs; damaged: none" in capsys.readouterr().out


def test_the_command_names_what_is_damaged_and_makes_it_again(capsys):
    command("data.cache=kept")
    (arrays,) = Path("kept").rglob(f"*{ARRAYS}")
    content = bytearray(arrays.read_bytes())
    content[100] ^= 1
    arrays.write_bytes(bytes(content))
    capsys.readouterr()
    assert command("--check", "data.cache=kept") == 2
    said = capsys.readouterr().out
    assert "damaged: 1\n" in said
    assert "all of each in the cache: 11" in said
    assert command("data.cache=kept") == 0
    assert command("--check", "data.cache=kept") == 0


def test_the_command_names_what_cannot_be_cached(capsys):
    (Path("sounds") / "low" / "bad.flac").write_bytes(b"no sound")
    assert command("data.cache=kept") == 2
    said = capsys.readouterr().out
    assert "not to be cached: 1" in said
    assert "bad.flac" in said
    assert command("data.cache=small", "data.cache_limit_gb=0.0001") == 2
    assert "data.cache_limit_gb" in capsys.readouterr().err


@pytest.mark.parametrize("override", ["data.cache=off", "data.cache_limit_gb=0", "data.cache=on"])
def test_the_command_without_a_cache_is_refused(override, capsys):
    assert command(override) == 2
    assert "data.cache" in capsys.readouterr().err
