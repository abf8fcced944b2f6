"""Each template of `pannsdist plugins new` as it is written: installed, it passes the test that it brings."""

import configparser
import os
import subprocess
import sys

import launching
import pytest


def written(kind, place):
    """The folder of a new plugin, and the path on which it counts as installed."""
    launched = launching.pannsdist("plugins", "new", kind, "birdsong", cwd=place)
    assert launched.exit_code == 0, str(launched)
    folder, info = place / "pannsdist-birdsong", place / "site" / "pannsdist_birdsong-0.1.0.dist-info"
    config = configparser.ConfigParser()
    config.read(folder / "setup.cfg", encoding="utf-8")
    info.mkdir(parents=True)
    name, version = config["metadata"]["name"], config["metadata"]["version"]
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    groups = config["options.entry_points"].items()
    lines = [f"[{group}]\n{entries.strip()}\n" for group, entries in groups]
    (info / "entry_points.txt").write_text("".join(lines), encoding="utf-8")
    return folder, os.pathsep.join(map(str, (place / "site", folder)))


def run_pytest(folder, path, *options):
    """What pytest says in the folder: exit code and output."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-W",
        "error",
        "-W",
        "ignore:No ccache found",
        "-p",
        "no:cacheprovider",
        "-v",
        "-rsxX",
        *options,
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([path, *filter(None, [os.environ.get("PYTHONPATH")])]),
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        timeout=launching.LIMIT_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("dataset", marks=pytest.mark.any_paddle),
        "model",
        "feature",
        pytest.param("augmentation", marks=pytest.mark.any_paddle),
        pytest.param("metric", marks=pytest.mark.any_paddle),
        "optimizer",
        pytest.param("schedule", marks=pytest.mark.any_paddle),
        pytest.param("tracker", marks=pytest.mark.any_paddle),
    ],
)
def test_a_new_plugin_passes_its_own_test_as_it_is_written(tmp_path, kind):
    folder, path = written(kind, tmp_path)
    (test,) = (folder / "tests").iterdir()
    assert len([line for line in test.read_text(encoding="utf-8").splitlines() if line]) <= 4
    code, said = run_pytest(folder, path)
    assert code == 0, said
    assert "test_birdsong_keeps_the_contract[importing it has no side effect] PASSED" in said
    if kind == "model":
        assert "test_birdsong_keeps_the_contract[it trains one step on two processes] PASSED" in said
    if kind == "optimizer":
        assert "test_birdsong_keeps_the_contract[it trains one step on two processes] PASSED" in said


@pytest.mark.any_paddle
def test_a_fault_of_a_plugin_is_a_failed_test_with_a_sentence_for_its_name(tmp_path):
    folder, path = written("augmentation", tmp_path)
    source, test = folder / "pannsdist_birdsong.py", folder / "tests" / "test_birdsong.py"
    source.write_text(source.read_text(encoding="utf-8").replace("waveform.copy()", "waveform"), encoding="utf-8")
    code, said = run_pytest(folder, path)
    assert code == 1, said
    assert "test_birdsong_keeps_the_contract[its input is not modified] FAILED" in said
    assert "it modifies its input in place" in said
    gaps = '{"its_input_is_not_modified": "the next release", "it_has_a_probability": "a mistake"}'
    text = test.read_text(encoding="utf-8").replace("(Birdsong)", f"(Birdsong, known_gaps={gaps})")
    test.write_text(text, encoding="utf-8")
    code, said = run_pytest(folder, path)
    assert code == 1, said
    assert "test_birdsong_keeps_the_contract[its input is not modified] XFAIL" in said
    assert "test_birdsong_keeps_the_contract[it has a probability] FAILED" in said
    assert "the check passes, so remove it from the known gaps" in said


@pytest.mark.any_paddle
def test_the_test_of_a_plugin_that_is_not_installed_says_so(tmp_path):
    folder, _ = written("augmentation", tmp_path)
    code, said = run_pytest(folder, str(folder))
    assert code == 2, said
    assert "no entry point names pannsdist_birdsong:Birdsong" in said
    assert "next: pip install -e ." in said
