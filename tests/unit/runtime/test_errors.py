"""What a user is told: what was wrong, what would be right, the next command."""

import pickle
import shlex
from pathlib import Path

import pytest

from pannsdist.runtime import errors
from pannsdist.runtime.errors import BadClip, UserError, candidates_line, closest


def test_a_refusal_says_what_is_wrong_what_is_right_and_the_next_command():
    error = UserError("unknown model 'cnn41'", "closest: cnn14\ninstalled: cnn14", "pannsdist plugins list")
    assert str(error) == ("unknown model 'cnn41'\n  closest: cnn14\n  installed: cnn14\n  next: pannsdist plugins list")


def test_what_is_not_known_takes_no_line():
    assert str(UserError("a")) == "a"
    assert str(UserError("a", command="b")) == "a\n  next: b"


REFUSALS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UserError)]


@pytest.mark.parametrize("kind", REFUSALS)
def test_every_refusal_survives_the_way_out_of_a_worker(kind):
    copy = pickle.loads(pickle.dumps(kind("wrong", "right", "next")))
    assert type(copy) is kind
    assert (copy.wrong, copy.right, copy.command) == ("wrong", "right", "next")


def test_the_nearest_candidate_is_found():
    assert closest("cnn41", ["cnn6", "cnn14", "resnet"]) == "cnn14"


def test_nothing_is_near_to_something_quite_different():
    assert closest("zzz", ["cnn6", "cnn14"]) == ""


def test_candidates_are_listed_in_order_behind_the_nearest():
    assert candidates_line("epoch", {"steps", "epochs"}, "keys") == "closest: epochs.  keys: epochs, steps"
    assert candidates_line("zzz", ["b", "a"], "keys") == "keys: a, b"
    assert candidates_line("a", [], "installed") == "installed: none"


def test_one_bad_clip_is_a_user_error():
    assert issubclass(BadClip, UserError)


@pytest.mark.parametrize(
    ("name", "candidates", "found"),
    [
        ("adamw", ["Adam", "AdamW", "Adamax"], "AdamW"),
        ("efficientat_mn4", ["efficientat_mn04", "efficientat_mn40", "efficientat_mn10"], "efficientat_mn04"),
        ("PANNS-CNN14", ["panns_cnn14", "panns_cnn10"], "panns_cnn14"),
    ],
)
def test_case_separators_and_leading_zeros_do_not_count(name, candidates, found):
    assert closest(name, candidates) == found


def test_of_many_candidates_only_the_similar_ones_are_listed():
    line = candidates_line("cnn41", [f"network_{number}" for number in range(80)] + ["cnn14", "cnn6"], "installed")
    assert line == "closest: cnn14.  installed: 82 such as cnn6"


def test_a_command_goes_through_the_shell_as_it_was_meant():
    words = ["pannsdist", "weights", "inspect", Path("my runs/it's $HOME/best model"), "data.name=a;b", 2]
    assert shlex.split(errors.shell_command(*words)) == [str(word) for word in words]
    assert errors.shell_command("predict", "FILE...", "runs/a/best_model") == "predict FILE... runs/a/best_model"


@pytest.mark.parametrize(
    ("seconds", "said"), [(332 / 32000, "0.011"), (0.31, "0.310"), (0.07, "0.070"), (4800 / 32000, "0.150")]
)
def test_a_minimum_is_rounded_up(seconds, said):
    assert errors.at_least(seconds) == f"at least {said} s"
