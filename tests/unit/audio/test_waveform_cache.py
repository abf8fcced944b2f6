"""The cache of waveforms: with it, without it, cold, warm, partly filled or broken, a clip has the same bits."""

import os
import pickle
import subprocess
import sys
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import small_disks
import soundfile

from pannsdist.audio import waveform_cache
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.decoder import Decoder
from pannsdist.audio.sixteen_bit import as_float, exactly_16_bit, to_16_bit
from pannsdist.audio.waveform_cache import WaveformCache
from pannsdist.cache.pack import ARRAYS, INDEX
from pannsdist.cache.pruning import check, packs
from pannsdist.contracts import Clip, EncodedSource, Samples, SourceState
from pannsdist.runtime.errors import BadClip

RATE_HZ = 8000
READER = ClipReader(RATE_HZ, 2 * RATE_HZ)
KINDS = {
    "mono.wav": (8000, 1, {"subtype": "PCM_16"}),
    "other.wav": (11025, 2, {"subtype": "PCM_24"}),
    "floats.wav": (8000, 1, {"subtype": "FLOAT"}),
    "lossless.flac": (16000, 1, {"subtype": "PCM_16"}),
    "lossy.ogg": (44100, 1, {"subtype": "VORBIS"}),
    "own.ogg": (8000, 2, {"subtype": "VORBIS"}),
    "lossy.mp3": (22050, 1, {}),
    "phone.wav": (8000, 1, {"subtype": "ULAW"}),
}


def write(path, seconds=17.0, seed=0, age_s=100.0):
    """A sound that was changed some time ago."""
    rate_hz, channels, how = KINDS[path.name]
    noise = np.random.default_rng(seed).normal(0.0, 0.1, (round(seconds * rate_hz), channels))
    soundfile.write(path, noise, rate_hz, **how)
    then = path.stat().st_mtime - age_s
    os.utime(path, (then, then))
    return path


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files may be kept at once; those of one test are read by stores of their own."""
    monkeypatch.setattr("pannsdist.cache.keys.SETTLED_NS", 0)
    yield
    forget()


def forget():
    """What another process would not know."""
    waveform_cache.close_stores()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    return [write(folder / name) for name in KINDS]


def clips(paths):
    whole = [Clip(path.name, path, ()) for path in paths]
    return whole + [Clip(f"{path.name}, a part", path, (), 3.3, 11.2) for path in paths]


def crops(reader, some, seeds=range(3)):
    return [reader.read(clip, np.random.default_rng(seed)) for seed in seeds for clip in some]


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.view(np.int32), other.view(np.int32))


@pytest.fixture
def decoders(monkeypatch):
    """Every opening of a sound file is noted here."""
    opened = []

    class Noted(Decoder):
        def __init__(self, source, *rest):
            opened.append(source)
            super().__init__(source, *rest)

    for module in ("reader", "verdicts"):
        monkeypatch.setattr(f"pannsdist.audio.{module}.Decoder", Noted)
    return opened


def test_crops_have_the_same_bits_cold_warm_and_without(tmp_path, sounds, decoders):
    expected = crops(READER, clips(sounds))
    cached = replace(READER, cache=WaveformCache(tmp_path, 1.0))
    assert_same(crops(cached, clips(sounds)), expected)
    forget()
    decoders.clear()
    assert_same(crops(pickle.loads(pickle.dumps(cached)), clips(sounds)), expected)
    assert decoders == []
    assert_same(crops(cached, clips(sounds)), expected)  # at hand
    assert [one.damaged for one in check(tmp_path)] == [0]


def test_only_what_is_exact_is_kept_in_16_bit(tmp_path, sounds):
    kinds = {}
    for path in sounds:
        forget()
        cache = WaveformCache(tmp_path / path.name, 1.0)
        crops(replace(READER, cache=cache), [Clip("a", path, ())])
        (store,) = waveform_cache._STORES.values()
        (known,) = store._known.values()
        kinds[path.name] = {chunk.dtype.name for chunk in known.chunks.values()}
    exact = {"mono.wav", "phone.wav"}
    assert kinds == {name: {"int16" if name in exact else "float32"} for name in KINDS}


@pytest.mark.parametrize("value", [-32768, -1, 0, 1, 32767])
def test_samples_of_16_bit_come_back(value):
    samples = np.full(3, value, np.int16)
    np.testing.assert_array_equal(exactly_16_bit(as_float(samples)), samples)
    assert exactly_16_bit(as_float(samples) + np.float32(1e-6)) is None


def test_a_negative_zero_is_none_of_16_bit():
    assert exactly_16_bit(np.full(3, -0.0, np.float32)) is None
    np.testing.assert_array_equal(to_16_bit(np.array([2.0, -2.0], np.float32)), [32767, -32768])


def test_rounded_to_16_bit_is_the_same_with_and_without_a_cache(tmp_path, sounds):
    some = [*clips(sounds[:3]), Clip("memory", Samples(np.full(9000, 0.1, np.float32), RATE_HZ), ())]
    rounded = replace(READER, is_16_bit=True)
    expected = crops(rounded, some)
    for one in expected:
        np.testing.assert_array_equal(one * 32768, np.rint(one * 32768))
    cached = replace(rounded, cache=WaveformCache(tmp_path, 1.0, is_16_bit=True))
    assert_same(crops(cached, some), expected)
    forget()
    assert_same(crops(cached, some), expected)
    full = replace(rounded, cache=WaveformCache(tmp_path / "full", 1e-9, is_16_bit=True))
    assert_same(crops(full, some), expected)


def changed(path):
    write(path, seconds=17.0, seed=1, age_s=0.0)


def changed_in_place_with_its_times(path):
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[-100_000:] = bytes(100_000)
    path.write_bytes(bytes(content))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("change", [changed, changed_in_place_with_its_times])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_source_that_changes_never_gives_old_samples(tmp_path, change, restarted):
    path, cached = write(tmp_path / "mono.wav"), replace(READER, cache=WaveformCache(tmp_path / "cache", 1.0))
    some = clips([path])
    before = crops(cached, some)
    change(path)
    if restarted:
        forget()
    assert_same(crops(cached, some), crops(READER, some))
    assert any((one != other).any() for one, other in zip(before, crops(READER, some), strict=True))


def test_a_source_that_is_gone_is_a_bad_clip(tmp_path):
    path, cached = write(tmp_path / "mono.wav"), replace(READER, cache=WaveformCache(tmp_path / "cache", 1.0))
    crops(cached, clips([path]))
    path.unlink()
    with pytest.raises(BadClip, match="no such file"):
        crops(cached, clips([path]))


def test_a_file_that_was_changed_just_now_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("pannsdist.cache.keys.SETTLED_NS", 60_000_000_000)
    cached = replace(READER, cache=WaveformCache(tmp_path / "cache", 1.0))
    crops(cached, clips([write(tmp_path / "mono.wav", age_s=0.0)]))
    assert packs(tmp_path / "cache") == []


def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path, cached = write(tmp_path / "other.wav"), replace(READER, cache=WaveformCache(tmp_path / "cache", 1.0))
    real = waveform_cache.DecodedSound.chunk

    def chunk(self, index):
        os.utime(path, (1, 1))
        return real(self, index)

    monkeypatch.setattr(waveform_cache.DecodedSound, "chunk", chunk)
    with pytest.raises(BadClip, match="changes while it is read"):
        crops(cached, clips([path]))
    assert packs(tmp_path / "cache") == []


@dataclass(frozen=True)
class Member(EncodedSource):
    """A file of an archive."""

    path: Path
    version: str = "1"

    @property
    def name(self):
        return f"archive:{self.path.name}"

    def state(self):
        return SourceState(self.path.stat().st_size, self.version)

    def open(self):
        return self.path.open("rb")


def test_a_part_of_an_archive_is_kept_by_its_version(tmp_path, sounds, decoders):
    cached = replace(READER, cache=WaveformCache(tmp_path / "cache", 1.0))
    members = [Member(path) for path in sounds]
    some = [Clip(one.name, one, ()) for one in members]
    assert_same(crops(cached, some), crops(READER, some))
    decoders.clear()
    crops(cached, some)
    assert decoders == []
    crops(cached, [Clip("a", Member(sounds[0], "2"), ())])
    assert len(decoders) > 0
    size = sum(pack.size for pack in packs(tmp_path / "cache"))
    crops(cached, [Clip("a", Member(sounds[1], ""), ())])
    assert sum(pack.size for pack in packs(tmp_path / "cache")) == size


def flipped(folder, ending):
    (path,) = folder.rglob(f"*{ending}")
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 997):
        content[place] ^= 0x10
    path.write_bytes(bytes(content))


def cut(folder, ending):
    (path,) = folder.rglob(f"*{ending}")
    os.truncate(path, path.stat().st_size // 2 + 3)


@pytest.mark.parametrize("damage", [flipped, cut])
@pytest.mark.parametrize("ending", [ARRAYS, INDEX])
def test_what_is_damaged_is_read_from_the_source_again(tmp_path, sounds, damage, ending):
    cached = replace(READER, cache=WaveformCache(tmp_path, 1.0))
    expected = crops(READER, clips(sounds[:2]))
    crops(cached, clips(sounds[:2]))
    forget()
    damage(tmp_path, ending)
    for _ in range(2):
        forget()
        assert_same(crops(cached, clips(sounds[:2])), expected)


def test_a_limit_below_one_chunk_and_one_within_an_epoch(tmp_path, sounds, capsys):
    for number, limit_gb in enumerate((1e-6, 0.001)):
        cached = replace(READER, cache=WaveformCache(tmp_path / str(number), limit_gb))
        for _ in range(2):
            assert_same(crops(cached, clips(sounds[:4]), range(1)), crops(READER, clips(sounds[:4]), range(1)))
        assert sum(pack.size for pack in packs(tmp_path / str(number))) <= limit_gb * 1e9
    assert "data.cache_limit_gb" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_can_be_read(tmp_path, sounds, capsys):
    """As root, who may write everywhere: on a disk without room for another file."""
    if not small_disks.mount(tmp_path, "600k"):
        pytest.skip("a small disk needs the right to mount")
    cached = replace(READER, cache=WaveformCache(tmp_path, 1.0))
    expected = crops(READER, clips(sounds[:4]), range(1))
    assert_same(crops(cached, clips(sounds[:4]), range(1)), expected)
    assert "No space left" in capsys.readouterr().err
    forget()
    subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
    assert_same(crops(cached, clips(sounds[:4]), range(1)), expected)
    assert sum(one.damaged for one in check(tmp_path)) == 0
    small_disks.unmount(tmp_path)


FILL = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    from pannsdist.audio.clip_reader import ClipReader
    from pannsdist.audio.waveform_cache import WaveformCache
    from pannsdist.contracts import Clip
    from pannsdist.cache import keys, pack

    keys.SETTLED_NS = 0
    folder, is_killed, real = Path(sys.argv[2]), sys.argv[3] == "killed", pack._entry
    names = ["lossless.flac", "mono.wav", "own.ogg"] if is_killed else ["mono.wav", "other.wav", "floats.wav"]

    def entry(key, place):
        return os.kill(os.getpid(), signal.SIGKILL) if name == "own.ogg" else real(key, place)

    pack._entry = entry
    reader = ClipReader(8000, 32000, cache=WaveformCache(Path(sys.argv[1]), 1.0))
    for name in names:
        for seed in range(3):
            reader.read(Clip(name, folder / name, ()), np.random.default_rng(seed))
""")


def test_two_fill_one_cache_and_one_is_killed(tmp_path, sounds):
    ends = ("killed", "closed")
    folder = sounds[0].parent
    command = [sys.executable, "-c", FILL, tmp_path, folder]
    assert [one.wait() for one in [subprocess.Popen([*command, end]) for end in ends]] == [-9, 0]
    cached = replace(READER, cache=WaveformCache(tmp_path, 1.0))
    assert_same(crops(cached, clips(sounds[:3])), crops(READER, clips(sounds[:3])))
    assert sum(one.damaged for one in check(tmp_path)) == 0
    assert 1 <= len(packs(tmp_path)) <= 2
