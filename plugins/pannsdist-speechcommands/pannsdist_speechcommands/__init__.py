"""Speech Commands v2 for pannsdist: the dataset `speechcommands`, with 35 or with 12 classes.

Layout and lists as in P. Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition",
arXiv 1804.03209, and its download. The lists split by speaker: all words of a speaker are in one split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pannsdist.contracts import Download
from pannsdist.contracts.corpora import Corpus, Listed, RootParams, allowed
from pannsdist.contracts.tables import file_rows, line_rows

__all__ = ["SpeechCommands", "SpeechCommandsParams"]

WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
SILENCE, UNKNOWN, NOISE = "_silence_", "_unknown_", "_background_noise_"
TEST_SET = "speech_commands_test_set_v0.02"
NOISE_S = 60
"""Minimum duration of the six background noises in seconds."""
VALID_NOISE = "running_tap.wav"
PLACE, LICENCE = "https://storage.googleapis.com/download.tensorflow.org/data", "CC BY 4.0"
WORD_PATH = r"([a-z]+)/([0-9a-f]+_nohash_[0-9]+)\.wav"


@dataclass(frozen=True)
class SpeechCommandsParams(RootParams):
    """`root` is the corpus folder. `classes` is 35, or 12 for ten words, `_unknown_` and `_silence_`."""

    classes: int = 35


class SpeechCommands(Corpus):
    """Speech Commands v2 in its official splits; single-label clips of one second."""

    Params = SpeechCommandsParams
    home = f"{PLACE}/speech_commands_v0.02.tar.gz"
    layout = f"validation_list.txt, testing_list.txt, a folder for each word and, for 12 classes, {TEST_SET}/"
    unpacks_to = "speech_commands_v0.02"
    downloads = (
        Download(
            f"{PLACE}/speech_commands_v0.02.tar.gz",
            LICENCE,
            "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            2_428_923_189,
            "tar",
            "speech_commands_v0.02",
        ),
        Download(
            f"{PLACE}/{TEST_SET}.tar.gz",
            LICENCE,
            "sha256:cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
            112_563_277,
            "tar",
            f"speech_commands_v0.02/{TEST_SET}",
        ),
    )

    def __init__(self, params: Any) -> None:
        self._twelve = allowed("classes", str(params.classes), ("12", "35")) == "12"
        super().__init__(params)

    def listed(self) -> Iterator[Listed]:
        """The clips of the lists, then the files in no list, which are the training set."""
        named = set()
        for split, name in (("valid", "validation_list.txt"), ("test", "testing_list.txt")):
            for row in line_rows(self.found(name)):
                word = row.matched("path", WORD_PATH, "expected a path such as yes/0a7c2a8d_nohash_0.wav")[1]
                named.add(row.text("path"))
                yield Listed(row, row.text("path"), (self._label(word),), split if split == "valid" else self._test)
        for row in file_rows(self.root, "*/*.wav"):
            if row.text("path") not in named and not row.text("path").startswith(f"{NOISE}/"):
                word = row.matched("path", WORD_PATH, "expected file names such as 0a7c2a8d_nohash_0.wav")[1]
                yield Listed(row, row.text("path"), (self._label(word),), "train")
        if self._twelve:
            yield from self._noises()
            for row in file_rows(self.found(TEST_SET), "*/*.wav"):
                path = row.text("path")
                yield Listed(row, f"{TEST_SET}/{path}", (path.partition("/")[0],), "test")

    def split_of(self, item: Listed) -> str | None:
        """The split of the clip's list; with 12 classes the clips of testing_list.txt are not used."""
        return None if item.part == "replaced" else str(item.part)

    @property
    def _test(self) -> str:
        return "replaced" if self._twelve else "test"

    def _label(self, word: str) -> str:
        return word if not self._twelve or word in WORDS else UNKNOWN

    def _noises(self) -> Iterator[Listed]:
        """Each second of a background noise is a `_silence_` clip; one noise is used only for validation."""
        self.found(f"{NOISE}/{VALID_NOISE}")
        for row in file_rows(self.root, f"{NOISE}/*.wav"):
            path = row.text("path")
            split = "valid" if path.endswith(f"/{VALID_NOISE}") else "train"
            for second in range(NOISE_S):
                name = f"{path.removesuffix('.wav')}#{second}"
                yield Listed(row, path, (SILENCE,), split, name, float(second), 1.0)
