"""`pannsdist plugins`: what it lists, shows and checks, and what it writes."""

import re

import pytest
from small_parts import install

from pannsdist import __version__

BIRDS = '''\
"""Birds."""

from dataclasses import dataclass

from pannsdist.contracts import Clip, UserError, param


@dataclass(frozen=True)
class Params:
    """`fold` is valid."""

    fold: int = 1
    level: float = param(0.5, "how loud", low=0.0, high=1.0)


class Birds:
    """Two birds.

    And nothing else.
    """

    Params = Params
    labels, multi_label, splits = ("wren", "owl"), False, ("train", "valid")

    def __init__(self, params):
        self.level = params.level

    def clips(self, split):
        return []
'''


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions, first on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def offer_birds(site, module, text=BIRDS, name="fake_birds"):
    install(site, "fake-birds", f"[pannsdist.datasets]\n{name} = {module}:Birds\n", "2.1")
    (site / f"{module}.py").write_text(text, encoding="utf-8")


def test_plugins_are_listed_with_where_they_come_from(run):
    code, out, _ = run("plugins", "list")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["model", "panns_cnn6", "pannsdist", __version__, "also", "Cnn6"] in rows
    assert ["feature", "logmel", "pannsdist", __version__] in rows
    assert ["dataset", "tones", "pannsdist", __version__] in rows


def test_a_model_is_shown_with_params_front_end_and_weights(run):
    code, out, _ = run("plugins", "show", "model", "panns_cnn10")
    assert code == 0
    assert out.startswith("model panns_cnn10: PANNs CNN10")
    assert f"from pannsdist {__version__} (pannsdist.builtin.panns:Cnn10)" in out
    assert "uses feature logmel" in out
    assert "front end: logmel, 32000 Hz, window 1024 samples (32 ms), hop 320 samples (10 ms)" in out
    assert "weights" in out


def test_a_dataset_is_shown_with_its_params_and_defaults(run):
    code, out, _ = run("plugins", "show", "dataset", "folder")
    assert code == 0
    assert "    root = (required)   root folder, relative to the working directory\n" in out
    assert "    valid_fraction = 0.2   fraction of each class" in out


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [("model", "panns_cnn1", "unknown model 'panns_cnn1'"), ("modell", "x", "unknown kind of plugin 'modell'")],
)
def test_an_unknown_plugin_is_refused_with_exit_code_2_and_no_traceback(run, kind, name, said):
    code, out, err = run("plugins", "show", kind, name)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {said}\n  closest: ")
    assert "Traceback" not in err


def test_the_long_list_says_what_each_is_and_why_one_is_broken(run, site):
    offer_birds(site, "fake_birds_long")
    install(site, "fake-owls", "[pannsdist.datasets]\nfake_owls = fake_owls:Owls\n", "0.2")
    code, out, _ = run("plugins", "list", "--long")
    assert code == 2
    rows = [line.split(maxsplit=4) for line in out.splitlines()]
    assert ["dataset", "fake_birds", "fake-birds", "2.1", "Two birds."] in rows
    (owls,) = (row for row in rows if row[1] == "fake_owls")
    assert owls[2:] == ["fake-owls", "0.2", "broken: ModuleNotFoundError: No module named 'fake_owls'"]


def test_the_plain_list_imports_nothing_and_says_nothing_of_what_is_broken(run, site):
    install(site, "fake-owls", "[pannsdist.datasets]\nfake_owls = fake_owls:Owls\n", "0.2")
    code, out, _ = run("plugins", "list")
    assert code == 0
    assert ["dataset", "fake_owls", "fake-owls", "0.2"] in [line.split() for line in out.splitlines()]


def test_a_plugin_is_shown_with_its_file_its_docs_and_its_limits(run, site):
    offer_birds(site, "fake_birds_shown")
    code, out, _ = run("plugins", "show", "dataset", "fake_birds")
    assert code == 0
    assert out.startswith("dataset fake_birds: Two birds.\n")
    assert "  from fake-birds 2.1 (fake_birds_shown:Birds)\n" in out
    assert f"  file {site / 'fake_birds_shown.py'}\n" in out
    assert "    fold = 1   `fold` is valid.\n" in out
    assert "    level = 0.5   how loud   (0.0 to 1.0)\n" in out


def test_a_feature_is_shown_with_its_front_end(run):
    code, out, _ = run("plugins", "show", "feature", "logmel")
    assert code == 0
    assert (
        "  front end: logmel, 32000 Hz, window 1024 samples (32 ms), hop 320 samples (10 ms), FFT 1024, 64 bins" in out
    )
    assert "from 50 to 14000 Hz, mel slaney, pad reflect, power_floor 1e-10, scale db, window hann\n" in out


def test_a_feature_is_shown_with_the_front_end_of_given_params(run):
    code, out, _ = run("plugins", "show", "feature", "logmel", "sample_rate_hz=8000", "hop_samples=80")
    assert code == 0
    assert "  with sample_rate_hz=8000, hop_samples=80\n" in out
    assert (
        "logmel, 8000 Hz, window 1024 samples (128 ms), hop 80 samples (10 ms), FFT 1024, 64 bins from 50 to 4000"
        in out
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("high_hz=17000", "feature.params.low_hz to high_hz is 50.0 to 17000.0 Hz"),
        ("sample_rate=8000", "unknown key feature.params.sample_rate\n  closest: sample_rate_hz."),
        ("sample_rate_hz=fast", "feature.params.sample_rate_hz"),
    ],
)
def test_params_that_do_not_suit_a_plugin_are_refused_before_it_is_shown(run, given, said):
    code, out, err = run("plugins", "show", "feature", "logmel", given)
    assert (code, out) == (2, "")
    assert said in err


def test_the_list_has_a_plugin_with_two_names_once(run):
    code, out, _ = run("plugins", "list", "model", "--search", "mel32")
    assert code == 0
    assert [re.split("  +", line) for line in out.splitlines()] == [
        ["model", "panns_cnn14_mel32", f"pannsdist {__version__}", "also Cnn14_mel32"]
    ]


def test_the_list_is_searched_by_name_other_name_and_distribution(run, site):
    offer_birds(site, "fake_birds_searched")
    for text in ("BIRDS", "fake-b"):
        _, out, _ = run("plugins", "list", "--search", text)
        assert [line.split()[:3] for line in out.splitlines()] == [["dataset", "fake_birds", "fake-birds"]]
    assert run("plugins", "list", "feature", "--search", "fake-b")[0] == 2


def test_a_search_without_result_names_the_nearest(run):
    code, out, err = run("plugins", "list", "--search", "cnn41")
    assert (code, out) == (2, "")
    assert err.startswith("error: no plugin has 'cnn41' in its name or distribution\n  closest: ")


def test_the_check_is_a_table_with_a_verdict_and_a_reason_on_each_line(run):
    code, out, _ = run("plugins", "check", "augmentation", "gain", "low_db=-3")
    assert code == 0
    head, *lines, last = out.splitlines()
    assert head == f"augmentation gain of pannsdist {__version__}"
    cells = [re.split("  +", line) for line in lines]
    assert ["ok", "it has a probability", "default 1.0"] in cells
    assert {len(row) for row in cells} == {3}
    assert [row[1] for row in cells if row[0] == "not applicable"] == ["events move with the sound"]
    assert last == f"{len(lines) - 1} ok, 1 not applicable"


def test_a_check_that_fails_gives_exit_code_2(run, site):
    offer_birds(site, "fake_birds_empty")
    code, out, _ = run("plugins", "check", "dataset", "fake_birds")
    assert code == 2
    assert "FAIL            it has train and valid and at least two labels" in out
    assert "no clips in train, valid" in out


def test_a_param_of_the_check_that_does_not_exist_fails_with_the_nearest(run):
    code, out, _ = run("plugins", "check", "augmentation", "gain", "low=-3")
    assert code == 2
    assert "unknown key augment.gain.low; closest: low_db." in out


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        ("{'the_ids_of_its_clip_are_unique': 'why'}", "closest: the_ids_of_its_clips_are_unique."),
        ("{'the_ids_of_its_clips_are_unique': ' '}", "has no reason"),
    ],
)
def test_a_known_gap_names_a_check_and_has_a_reason(run, site, gaps, said):
    module = f"fake_birds_gaps_{len(said)}"
    offer_birds(site, module, BIRDS.replace("    Params = Params", f"    Params = Params\n    known_gaps = {gaps}"))
    code, _, err = run("plugins", "check", "dataset", "fake_birds")
    assert code == 2
    assert said in err


def test_a_known_gap_passes_and_one_that_is_none_fails(run, site):
    gaps = {"it_has_train_and_valid_and_at_least_two_labels": "they come next week", "its_params_can_be_pickled": "?"}
    text = BIRDS.replace("    Params = Params", f"    Params = Params\n    known_gaps = {gaps}")
    offer_birds(site, "fake_birds_known", text)
    code, out, _ = run("plugins", "check", "dataset", "fake_birds")
    assert code == 2
    (gap,) = (line for line in out.splitlines() if "it has train and valid" in line)
    assert gap.startswith("known gap")
    assert gap.endswith("they come next week (found: no clips in train, valid)")
    (none,) = (line for line in out.splitlines() if "its params can be pickled" in line)
    assert none.startswith("FAIL")
    assert "the check passes, so remove it from the known gaps" in none


@pytest.mark.parametrize("name", ["Bird", "2birds", "bird-song", "bird__song", "_bird", "bird ", "bird.song"])
def test_a_name_that_is_none_is_refused_with_one_that_would_do(run, tmp_path, name):
    code, _, err = run("plugins", "new", "dataset", name, "-o", tmp_path)
    assert code == 2
    assert err.startswith(f"error: '{name}' is not a valid plugin name\n")
    proposed = err.split()[-1]
    assert run("plugins", "new", "dataset", proposed, "-o", tmp_path)[0] == 0


def test_a_name_that_is_taken_is_refused_with_both_named(run, site):
    install(site, "fake-birds", "[pannsdist.datasets]\nfake_birds = fake:Birds\n", "2.1")
    code, _, err = run("plugins", "new", "dataset", "fake_birds", "-o", site)
    assert code == 2
    assert err.startswith(
        "error: dataset 'fake_birds' is already provided by fake-birds 2.1; pannsdist-fake-birds would"
    )


def test_a_distribution_that_is_there_with_another_kind_is_refused(run, site):
    install(site, "pannsdist-fake-birds", "[pannsdist.datasets]\nfake_birds = fake:Birds\n", "2.1")
    code, _, err = run("plugins", "new", "model", "fake_birds", "-o", site)
    assert code == 2
    assert "pannsdist-fake-birds is already installed: pannsdist-fake-birds 2.1 with dataset 'fake_birds'" in err


def test_nothing_is_written_over(run, tmp_path):
    (tmp_path / "pannsdist-birdsong").mkdir()
    code, _, err = run("plugins", "new", "dataset", "birdsong", "-o", tmp_path)
    assert (code, list((tmp_path / "pannsdist-birdsong").iterdir())) == (2, [])
    assert err.startswith(f"error: {tmp_path / 'pannsdist-birdsong'} already exists\n")


def test_a_kind_that_does_not_exist_is_refused_with_the_nearest(run, tmp_path):
    code, _, err = run("plugins", "new", "datasets", "birdsong", "-o", tmp_path)
    assert code == 2
    assert err.startswith("error: unknown kind of plugin 'datasets'\n  closest: dataset.")
