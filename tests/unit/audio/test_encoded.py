"""Sound files that are no files of the file system are read as those are, and a failing store is no bad clip."""

import io
from dataclasses import dataclass, field

import numpy as np
import pytest
import sound_kinds
import soundfile

from pannsdist.audio.clip_lengths import length_s
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.inspection import inspect
from pannsdist.audio.sounds import mono_blocks
from pannsdist.audio.verdicts import judge
from pannsdist.contracts import Clip, EncodedSource, SourceState
from pannsdist.run.data_record import size_bytes
from pannsdist.runtime.errors import BadClip, CannotRead

READER = ClipReader(8000, 2000)


@dataclass(frozen=True)
class Member(EncodedSource):
    """Bytes in memory; opened and read with `error` once `intact` bytes were read."""

    file: str
    content: bytes = field(repr=False)
    error: type[Exception] | None = None
    intact: int = 0
    fails_at: str = "read"

    @property
    def name(self):
        return f"archive.tar:{self.file}"

    def state(self):
        if self.error and self.fails_at == "state":
            raise self.error("the store said no")
        return SourceState(len(self.content), "1")

    def open(self):
        if self.error and self.fails_at == "open":
            raise self.error("the store said no")
        return Failing(self.content, self.intact, self.error)


class Failing(io.BytesIO):
    def __init__(self, content, intact, error):
        super().__init__(content)
        self.left, self.error = intact, error

    def read(self, count=-1):
        found = super().read(count)
        self.left -= len(found)
        if self.error and self.left < 0:
            raise self.error("the store said no")
        return found


def outcome(source):
    """The samples that training and inference read, or why they read none."""
    clip, read = Clip("a", source, ()), []
    for reading in (lambda: READER.read(clip, None), lambda: np.concatenate(list(mono_blocks(source, 8000)))):
        try:
            read.append(reading().tobytes())
        except BadClip as error:
            read.append(str(error.wrong).partition("): ")[2])
    return read


def test_every_kind_of_file_gives_the_same_verdict_and_samples_as_a_file(tmp_path):
    sound_kinds.legal(tmp_path)
    sound_kinds.damaged(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        member = Member(path.name, path.read_bytes())
        assert judge(member) == judge(path), path.name
        assert outcome(member) == outcome(path), path.name
        is_known_by_name = path.name == "junk.mp3"
        assert is_known_by_name or length_s(Clip("a", member, ())) == length_s(Clip("a", path, ())), path.name
        assert size_bytes(member) == path.stat().st_size


def inferred(clip):
    return list(mono_blocks(clip.source, 8000))


@pytest.fixture
def sound(tmp_path):
    sound_kinds.legal(tmp_path)
    return next(tmp_path.glob("*.ogg"))


@pytest.mark.parametrize("error", [TimeoutError, PermissionError])
@pytest.mark.parametrize("fails_at", ["state", "open", "read"])
def test_a_store_that_fails_or_refuses_is_no_bad_clip(sound, error, fails_at):
    content = sound.read_bytes()
    for intact in {"read": range(0, len(content), len(content) // 20)}.get(fails_at, [0]):
        member = Member(sound.name, content, error, intact, fails_at)
        clip = Clip("a", member, ())
        assert length_s(clip) is None or intact
        for read in (lambda one: READER.read(one, None), lambda one: inspect((one,), 8000), inferred):
            with pytest.raises(CannotRead, match="cannot be read: the store said no") as caught:
                read(clip)
            assert "not skipped" in caught.value.right


@pytest.mark.parametrize("fails_at", ["state", "open"])
def test_a_sound_that_a_store_does_not_have_is_a_bad_clip(sound, fails_at):
    member = Member(sound.name, sound.read_bytes(), FileNotFoundError, 0, fails_at)
    with pytest.raises(BadClip, match="there is no such file"):
        READER.read(Clip("a", member, ()), None)
    assert size_bytes(member) == (-1 if fails_at == "state" else len(member.content))


@dataclass(frozen=True)
class Value(Member):
    """A value of a table, whose own size is not known before it is decoded."""

    def state(self):
        return SourceState(1 << 20, "1")


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3", "OGG"])
@pytest.mark.parametrize("kept", [1.0, 0.5, 0.0])
def test_the_size_that_counts_is_that_of_the_bytes(kind, kept, tmp_path):
    path = tmp_path / f"a.{kind.lower()}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 16000), 8000, format=kind)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert judge(Value(path.name, path.read_bytes())) == judge(path)


def test_a_value_that_is_not_there_says_why():
    class Null(Value):
        def open(self):
            raise FileNotFoundError(2, "its audio is null", "a.wav")

    assert judge(Null("a.wav", b"")).fault == "its audio is null"
