"""The tests of every corpus plugin, each run on a miniature of its corpus that the plugin's own tests write."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile

from pannsdist import settings
from pannsdist.contracts import Clip, UserError
from pannsdist.contracts.sound_files import SOUND_FILE_ENDINGS
from pannsdist.devkit import Subject, Verdict, checks_of, run_check
from pannsdist.registry import Catalog
from pannsdist.run.planning.decide import decide
from pannsdist.run.planning.plan_table import plan_table

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def write(path: Path, lines: Iterable[str]) -> None:
    """A text file with these lines, in UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def touch(root: Path, names: Iterable[str]) -> None:
    """Files of no bytes: whoever opens one as a sound fails."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


class CorpusTests:
    """The tests; a subclass whose name begins with `Test` describes its corpus."""

    plugin: ClassVar[Any]
    params: ClassVar[Mapping[str, Any]] = {}
    make_root: ClassVar[Callable[[Path], Path]]
    """Makes the miniature in a folder; gives the root."""
    source_of: ClassVar[Callable[[Clip], object]]
    """The recording, speaker or place that must not be in two splits."""
    tables: ClassVar[Mapping[str, str]] = {}
    """Each list below the root, and a column that it cannot do without; empty where it has no header."""
    needed: ClassVar[tuple[str, ...]] = ()
    """Folders below the root that must be there."""
    counts: ClassVar[Mapping[str, int]]
    labels: ClassVar[tuple[str, ...]]
    a_sound: ClassVar[str]
    """A sound file, below the root."""
    recipe: ClassVar[str]
    """A file of configs/ that trains on the corpus."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """The miniature."""
        (tmp_path / "corpus").mkdir()
        return type(self).make_root(tmp_path / "corpus")

    def opened(self, root: Path, **params: Any) -> Any:
        """The plugin on the miniature."""
        return self.plugin(self.plugin.Params(str(root), **{**self.params, **params}))

    def refusal(self, root: Path, **params: Any) -> str:
        """What the plugin says of a miniature that is not as it should be."""
        with pytest.raises(UserError) as caught:
            self.opened(root, **params)
        return str(caught.value)

    def everything(self, root: Path, **params: Any) -> dict[str, tuple[Clip, ...]]:
        """All clips by split."""
        corpus = self.opened(root, **params)
        return {split: tuple(corpus.clips(split)) for split in corpus.splits}

    def test_every_split_has_its_clips(self, root):
        """Counted by hand in the miniature."""
        assert {split: len(clips) for split, clips in self.everything(root).items()} == self.counts

    def test_labels_stand_in_the_order_of_the_corpus(self, root):
        """And every clip bears them."""
        corpus = self.opened(root)
        assert tuple(corpus.labels) == self.labels
        for clips in self.everything(root).values():
            for clip in clips:
                assert set(clip.labels) <= set(self.labels)
                assert corpus.multi_label or len(clip.labels) == 1

    def test_the_order_is_the_same_twice(self, root):
        """Whoever lists it."""
        assert self.everything(root) == self.everything(root)

    def test_ids_are_unique_and_do_not_depend_on_the_place(self, root, tmp_path_factory):
        """So that two machines agree on them."""
        ids = [clip.id for clips in self.everything(root).values() for clip in clips]
        assert max(Counter(ids).values()) == 1
        elsewhere = type(self).make_root(tmp_path_factory.mktemp("elsewhere"))
        assert ids == [clip.id for clips in self.everything(elsewhere).values() for clip in clips]

    def test_no_source_is_in_two_splits(self, root):
        """Else a score says nothing."""
        sources = [{type(self).source_of(clip) for clip in clips} for clips in self.everything(root).values()]
        assert sum(map(len, sources)) == len(set.union(*sources))

    def test_every_clip_has_its_file_and_reaches_a_worker(self, root):
        """The files have no bytes, so none was opened as a sound."""
        everything = self.everything(root)
        assert pickle.loads(pickle.dumps(everything)) == everything  # noqa: S301
        for clips in everything.values():
            assert all(isinstance(clip.source, Path) and clip.source.stat().st_size == 0 for clip in clips)

    def test_a_missing_root_is_refused_by_name(self, tmp_path):
        """With where the corpus is to be had."""
        said = self.refusal(tmp_path / "nowhere")
        assert said.startswith(f"data.params.root is '{tmp_path}/nowhere', which is not a folder")
        assert self.plugin.home in said

    def test_a_root_without_a_list_or_a_folder_is_refused_by_its_name(self, root):
        """Each of them."""
        for name in (*self.tables, *self.needed):
            (root / name).rename(root.parent / "moved")
            assert f"which has no {name}" in self.refusal(root)
            (root.parent / "moved").rename(root / name)

    def test_windows_line_ends_and_a_byte_order_mark_change_nothing(self, root):
        """In any list."""
        before = self.everything(root)
        for name in self.tables:
            text = (root / name).read_bytes()
            (root / name).write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
        assert self.everything(root) == before

    def test_a_list_in_another_encoding_is_refused_with_its_line(self, root):
        """Each of them."""
        for name in self.tables:
            text = (root / name).read_bytes()
            (root / name).write_bytes(text.decode().encode("utf-16-le"))
            assert f"{root}/{name}:1: a zero byte, so it is not UTF-8" in self.refusal(root)
            (root / name).write_bytes(text)

    def test_a_missing_column_is_refused_with_its_line(self, root):
        """Of each table with a header."""
        for name, column in self.tables.items():
            text = (root / name).read_text(encoding="utf-8")
            if column:
                (root / name).write_text(text.replace(column, "other", 1), encoding="utf-8")
                assert f"{root}/{name}:1: no column {column}" in self.refusal(root)
                (root / name).write_text(text, encoding="utf-8")

    def test_a_row_that_stands_twice_is_refused_with_its_line(self, root):
        """In any list."""
        for name in self.tables:
            lines = (root / name).read_text(encoding="utf-8").splitlines()
            write(root / name, [*lines, lines[-1]])
            assert f"{root}/{name}:{len(lines) + 1}: " in self.refusal(root)
            write(root / name, lines)

    def test_a_sound_that_is_not_there_is_refused_or_counted(self, root):
        """As the plugin says of itself."""
        (root / self.a_sound).unlink()
        if self.plugin.skips_missing:
            assert self.a_sound in [item.path for item in self.opened(root).missing]
        elif self.tables:
            said = self.refusal(root)
            assert f": {self.a_sound}\n" in said
            assert f"have no file in {root}, such as" in said

    def test_it_keeps_the_contract(self, root):
        """Every check of the devkit without a gap, once the files of no bytes are sounds."""
        for path in root.rglob("*"):
            if path.suffix.lower() in SOUND_FILE_ENDINGS and path.stat().st_size == 0:
                soundfile.write(path, np.full(4000, 0.1), 8000, format="WAV")
        catalog = Catalog.installed()
        module = self.plugin.__module__
        entry = next((item for item in catalog.datasets if item.target.partition(":")[0] == module), None)
        if entry is None:
            pytest.skip("the plugin is not installed, only importable")
        subject = Subject(entry, {"root": str(root), **self.params}, catalog)
        outcomes = [run_check(check, subject) for check in checks_of("dataset")]
        failed = [f"{item.check.sentence}: {item.reason}" for item in outcomes if item.verdict is Verdict.FAIL]
        assert failed == []

    def test_the_recipe_comes_to_a_plan_with_it(self, root):
        """With random weights and batches that the miniature can fill; nothing is built."""
        catalog = Catalog.installed()
        if self.plugin.__module__ not in [entry.target.partition(":")[0] for entry in catalog.datasets]:
            pytest.skip("the plugin is not installed, only importable")
        overrides = [f"data.params.{key}={value}" for key, value in {**self.params, "root": root}.items()]
        chosen, origin = settings.load(CONFIGS / self.recipe, [*overrides, "model.weights=''", "train.batch_size=2"])
        plan = decide(chosen, origin, catalog, world_size=1)
        assert {split: len(plan.data.splits[split]) for split in ("train", "valid")}.items() <= self.counts.items()
        missing = len(self.opened(root).missing)
        assert ("have no file and are left out" in plan_table(plan)) == bool(missing)

    def test_downloads_are_whole_records(self):
        """A licence for each, and a checksum of a known kind or none."""
        for file in self.plugin.downloads:
            kind, _, digits = file.checksum.partition(":")
            assert file.url.startswith("https://")
            assert file.licence
            assert len(digits) == {"md5": 32, "sha256": 64, "": 0}[kind]
            assert file.unpack in ("zip", "tar", "")


class EventCorpusTests(CorpusTests):
    """For a corpus with labels of events, which no recipe trains on yet."""

    name: ClassVar[str]
    """Of the plugin."""
    plan_params: ClassVar[Mapping[str, Any]] = {}
    """Of clips that every network can use."""

    def test_the_recipe_comes_to_a_plan_with_it(self, root):
        """With a network that has random weights."""
        catalog = Catalog.installed()
        if self.name not in catalog.datasets.entries:
            pytest.skip("the plugin is not installed, only importable")
        chosen_params = {**self.params, **self.plan_params}
        params = {**chosen_params, "root": str(root)}
        tree = {"name": "a", "model": {"name": "panns_cnn6"}, "data": {"name": self.name, "params": params}}
        chosen, origin = settings.load({**tree, "train": {"batch_size": 1}, "data": {**tree["data"], "min_clip_s": 0}})
        plan = decide(chosen, origin, catalog, world_size=1)
        listed = {split: len(clips) for split, clips in self.everything(root, **chosen_params).items()}
        assert {split: len(plan.data.splits[split]) for split in ("train", "valid")}.items() <= listed.items()
        missing = len(self.opened(root, **chosen_params).missing)
        assert ("have no file and are left out" in plan_table(plan)) == bool(missing)

    def test_the_labels_of_a_clip_with_events_are_those_of_its_events(self, root):
        """And a clip that is not labelled has neither."""
        for clips in self.everything(root).values():
            for clip in clips:
                assert clip.events is None or set(clip.labels) == {event.label for event in clip.events}
                assert clip.is_labelled or (clip.labels, clip.events) == ((), None)


class FoldedCorpusTests(CorpusTests):
    """For a corpus with folds of its own."""

    def test_each_fold_is_valid_once_and_no_source_in_two(self, root):
        """By speaker, recording or whatever else a source is."""
        folds = self.plugin.folds(self.plugin.Params(str(root), **self.params))
        held_out = [self.everything(root, **{self.plugin.fold_param: fold})["valid"] for fold in folds]
        sources = [{type(self).source_of(clip) for clip in clips} for clips in held_out]
        assert len(folds) >= 2
        assert sum(map(len, sources)) == len(set.union(*sources))
