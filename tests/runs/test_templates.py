"""Each template of `pannsdist plugins new` as it is written: installed, it passes the test that it brings.

One pytest run tests the plugins of all kinds as they are written, a second one those that something is wrong with.
"""

import configparser
import os
import subprocess
import sys
from dataclasses import dataclass

import calling
import launching
import pytest

NUMPY_ALONE = ("dataset", "augmentation", "metric", "schedule", "tracker")
"""Kinds whose checks end the same under every version of Paddle."""
KINDS = ("model", "feature", "optimizer", *(pytest.param(kind, marks=pytest.mark.any_paddle) for kind in NUMPY_ALONE))


@dataclass(frozen=True)
class Outcome:
    """What pytest came to in the folders of some plugins: exit code and output."""

    code: int
    said: str


def written(kind, name, place, is_installed=True):
    """The folder of a new plugin; it counts as installed in the folder `site`."""
    launched = calling.pannsdist("plugins", "new", kind, name, cwd=place)
    assert launched.exit_code == 0, str(launched)
    folder, info = place / f"pannsdist-{name}", place / "site" / f"pannsdist_{name}-0.1.0.dist-info"
    if is_installed:
        config = configparser.ConfigParser()
        config.read(folder / "setup.cfg", encoding="utf-8")
        info.mkdir(parents=True)
        name, version = config["metadata"]["name"], config["metadata"]["version"]
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        groups = config["options.entry_points"].items()
        lines = [f"[{group}]\n{entries.strip()}\n" for group, entries in groups]
        (info / "entry_points.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def run_pytest(place, folders):
    """Run the tests of plugins."""
    options = ["-W", "error", "-W", "ignore:No ccache found", "-p", "no:cacheprovider", "-v", "-rsxX"]
    options += ["--continue-on-collection-errors", f"--rootdir={place}"]
    path = [str(place / "site"), *map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *map(str, folders)],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=launching.LIMIT_S,
        check=False,
    )
    return Outcome(done.returncode, done.stdout + done.stderr)


def own_test(folder):
    (test,) = (folder / "tests").iterdir()
    return test


@pytest.fixture(scope="module")
def as_written(request, tmp_path_factory):
    """Plugins of all kinds that are to be tested, each named after its kind."""
    place = tmp_path_factory.mktemp("templates")
    items = [item for item in request.session.items if "kind" in getattr(item, "fixturenames", ())]
    kinds = [item.callspec.params["kind"] for item in items if item.module is request.module]
    folders = [written(kind, f"bird{kind}", place) for kind in kinds]
    for folder in folders:
        assert len([line for line in own_test(folder).read_text(encoding="utf-8").splitlines() if line]) <= 4
    return run_pytest(place, folders)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_its_own_test_as_it_is_written(as_written, kind):
    assert as_written.code == 0, as_written.said
    test = f"test_bird{kind}_keeps_the_contract"
    assert f"{test}[importing it has no side effect] PASSED" in as_written.said
    if kind == "model":
        assert f"{test}[it trains one step on two processes] PASSED" in as_written.said
    if kind == "optimizer":
        assert f"{test}[it trains one step on two processes] PASSED" in as_written.said


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """Three augmentations: with a fault, with the same fault as a known gap, and not installed."""
    place = tmp_path_factory.mktemp("wrong")
    folders = [written("augmentation", name, place) for name in ("faulty", "known")]
    for folder in folders:
        source = folder / f"{folder.name.replace('-', '_')}.py"
        source.write_text(source.read_text(encoding="utf-8").replace("waveform.copy()", "waveform"), encoding="utf-8")
    gaps = '{"its_input_is_not_modified": "the next release", "it_has_a_probability": "a mistake"}'
    test = own_test(folders[1])
    text = test.read_text(encoding="utf-8").replace("(Known)", f"(Known, known_gaps={gaps})")
    test.write_text(text, encoding="utf-8")
    return run_pytest(place, [*folders, written("augmentation", "absent", place, is_installed=False)])


@pytest.mark.any_paddle
def test_a_fault_of_a_plugin_is_a_failed_test_with_a_sentence_for_its_name(wrong):
    assert wrong.code == 1, wrong.said
    assert "test_faulty_keeps_the_contract[its input is not modified] FAILED" in wrong.said
    assert "it modifies its input in place" in wrong.said


@pytest.mark.any_paddle
def test_a_known_gap_is_expected_to_fail_and_one_that_is_none_is_a_failed_test(wrong):
    assert "test_known_keeps_the_contract[its input is not modified] XFAIL" in wrong.said
    assert "test_known_keeps_the_contract[it has a probability] FAILED" in wrong.said
    assert "the check passes, so remove it from the known gaps" in wrong.said


@pytest.mark.any_paddle
def test_the_test_of_a_plugin_that_is_not_installed_says_so(wrong):
    assert "ERROR collecting pannsdist-absent/tests/test_absent.py" in wrong.said
    assert "no entry point names pannsdist_absent:Absent" in wrong.said
    assert "next: pip install -e ." in wrong.said
