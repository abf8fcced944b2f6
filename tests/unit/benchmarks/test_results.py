"""The results of benchmarks: what became slower, what is noise, what is written; and that none is left out."""

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[3]
BENCHMARKS = ROOT / "benchmarks"
OF_OTHERS = {"torch_step", "bare_start"}
"""Scripts that a benchmark starts."""
OF_A_MODEL = {"browser"}
"""It compares a page with the model that a user exported; `make bench` has neither."""


@pytest.fixture(scope="module")
def bench():
    """The collector as a module; its folder is that of a script, where its neighbours are found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import bench

        yield bench


def table(bench, rows, better="higher"):
    return bench.Table("a step", "clips/s", rows, better)


def test_slower_is_what_the_noise_of_neither_file_explains(bench):
    before = table(bench, {"a": [10.0, 10.0], "b": [20.0, 20.0], "a, again": [10.0, 8.0]})
    now = table(bench, {"a": [9.0, 9.0], "b": [15.0, 15.0], "a, again": [9.0, 9.0]})
    assert list(bench.slower([now], [before])) == ["a step: b: worse by a factor of 1.33; noise 1.25"]
    assert list(bench.slower([before], [now])) == []


def test_of_seconds_more_is_worse(bench):
    before, now = (table(bench, {"a": [value]}, "lower") for value in (1.0, 2.0))
    assert len(list(bench.slower([now], [before]))) == 1
    assert list(bench.slower([before], [now])) == []


def test_what_has_no_direction_an_arm_that_is_new_and_another_title_are_not_compared(bench):
    old = table(bench, {"a": [2.0]})
    assert list(bench.slower([table(bench, {"a": [1.0]}, better="")], [old])) == []
    assert list(bench.slower([table(bench, {"b": [1.0]})], [old])) == []
    assert list(bench.slower([bench.Table("another", "clips/s", {"a": [1.0]})], [old])) == []


def test_without_a_repeated_arm_the_noise_is_the_spread_over_the_rounds(bench):
    assert bench.noise(table(bench, {"a": [1.0, 1.5], "b": [2.0, 2.0]})) == pytest.approx(1.5)


@pytest.mark.usefixtures("bench")
def test_the_first_arm_is_measured_twice_in_every_round():
    from measuring import interleave

    asked = []
    found = interleave(["a", "b"], 2, "s", lambda arm: asked.append(arm) or float(len(asked)))
    assert asked == ["a", "b", "a"] * 2
    assert found == {"a": [1.0, 4.0], "b": [2.0, 5.0], "a, again": [3.0, 6.0]}


@pytest.mark.usefixtures("bench")
def test_of_several_quantities_each_arm_has_one_value_a_round_its_repetition_too():
    from measuring import Table, interleave_several

    asked = []
    speeds, waits = interleave_several(["a", "b"], 2, "s", lambda arm: (asked.append(arm) or float(len(asked)), 9.0))
    assert speeds == {"a": [1.0, 4.0], "b": [2.0, 5.0], "a, again": [3.0, 6.0]}
    assert waits == {"a": [9.0] * 2, "b": [9.0] * 2, "a, again": [9.0] * 2}
    assert len(list(Table("waiting", "%", waits).lines())) == 3 + len(waits)


def test_a_table_shows_medians_and_the_ratio_within_each_round(bench):
    lines = list(table(bench, {"a": [1.0, 2.0, 4.0], "b": [2.0, 2.0, 2.0]}).lines())
    assert lines[-2:] == ["| a | 2.00 (1.00-4.00) | 1.00 (1.00-1.00) |", "| b | 2.00 (2.00-2.00) | 1.00 (0.50-2.00) |"]


def test_results_are_written_as_values_page_and_picture_and_compared_later(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "bench.py"), "--only", "message_sizes", "--quick"]
    done = subprocess.run([*command, "--results", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (values,) = tmp_path.glob("*.json")
    written = json.loads(values.read_text(encoding="utf-8"))
    assert written["machine"]["cores"] >= 1 and "pannsdist" in written["machine"]["packages"]
    assert written["benchmarks"]["message_sizes"][0]["rows"]["efficientat_mn04"] == [pytest.approx(2.955592)]
    assert "| efficientat_mn04 | 2.96 |" in values.with_suffix(".md").read_text(encoding="utf-8")
    ElementTree.parse(values.with_suffix(".svg"))


def test_the_picture_holds_a_bar_for_each_arm_but_the_repeated_one(bench):
    import chart

    drawn = chart.ratios([table(bench, {"a <1>": [1.0], "b": [3.0], "a <1>, again": [1.0]})])
    bars = re.findall(r'<rect x="\d+".* width="([\d.]+)"', drawn)
    assert len(bars) == 2 and float(bars[1]) == pytest.approx(3 * float(bars[0]), rel=0.01)
    assert "".join(ElementTree.fromstring(drawn).itertext()).count("a <1>") == 1


def test_a_file_that_holds_no_results_is_refused_before_anything_is_measured(tmp_path):
    (tmp_path / "old.json").write_text("[]", encoding="utf-8")
    command = [sys.executable, str(BENCHMARKS / "bench.py"), "--quick", "--against", str(tmp_path / "old.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "no results of this benchmark" in done.stderr


def test_no_benchmark_is_left_out_of_make_bench_and_each_command_stands_on_the_page(bench):
    chosen = bench.plain_parser("").parse_args([])
    chosen.peers, chosen.esc10, chosen.mn04 = None, Path("ESC-10"), Path("mn04.pt")
    scripts = {path.stem for path in BENCHMARKS.glob("*.py") if "def main(" in path.read_text(encoding="utf-8")}
    assert {name for name, _ in bench.benchmarks(chosen)} == scripts - {"bench", *OF_OTHERS, *OF_A_MODEL}
    pages = "".join(path.read_text(encoding="utf-8") for path in (BENCHMARKS / "README.md", *ROOT.glob("docs/en/*.md")))
    assert {name for name in scripts - OF_OTHERS if f"python benchmarks/{name}.py" not in pages} == set()
