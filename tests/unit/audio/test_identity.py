"""What identifies the source of a clip: nothing that was made of an older version is found again."""

import os
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pytest

from pannsdist.audio.identity import identity_of
from pannsdist.contracts import EncodedSource, Samples, SourceState
from pannsdist.runtime.errors import CannotRead


@dataclass(frozen=True)
class Stored(EncodedSource):
    """A cell of a table, whose name does not say its column."""

    column: str = "audio"
    version: str = "1"
    size_bytes: int = 4
    error: type[Exception] | None = None

    name = "table:1/a.wav"

    def state(self):
        if self.error:
            raise self.error("no")
        return SourceState(self.size_bytes, self.version)

    def open(self):
        return BytesIO()


class Nameless(EncodedSource):
    name = "a.wav"
    state = open = Stored.open


def key(source):
    return identity_of(source).key({})


def test_every_change_of_a_source_gives_another_key():
    sources = [Stored(), Stored(column="other"), Stored(version="2"), Stored(size_bytes=5)]
    assert len({key(source) for source in sources}) == 4
    assert key(Stored()) == key(Stored())
    assert identity_of(Stored()).is_settled


@pytest.mark.parametrize(
    "source", [Stored(version=""), Stored(error=FileNotFoundError), Nameless(), Samples(np.zeros(3, np.float32), 8000)]
)
def test_what_cannot_be_told_from_another_version_has_no_identity(source):
    assert identity_of(source) is None


def test_a_store_that_does_not_tell_stops_the_run():
    with pytest.raises(CannotRead):
        identity_of(Stored(error=TimeoutError))


def test_a_link_to_another_file_is_another_source(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"same")
        os.utime(tmp_path / name, (1, 1))
    link = tmp_path / "link"
    link.symlink_to("one")
    before = key(link)
    assert before == key(tmp_path / "one")
    link.unlink()
    link.symlink_to("two")
    assert key(link) != before
