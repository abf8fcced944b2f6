"""What every installed plugin keeps to: the checks of the devkit, which an author runs as well, and no known gap.

A plugin in plugins/ whose own tests run these checks is left out here.
"""

import dataclasses
import inspect

import pytest
from installed import BIG, CATALOG, LAUNCHED, LONG, MINIATURES, PLUGINS, STATIC_GRAPHS, checked_by_its_own_tests, chosen

from pannsdist import contracts
from pannsdist.devkit import Cost, Subject, Verdict, checks_of, run_check
from pannsdist.devkit.checks.frames import CHECKS as FRAME_CHECKS

ENTRIES = [entry for kind in contracts.GROUPS for entry in chosen(kind) if not checked_by_its_own_tests(entry)]
STATIC_GRAPH = "its_static_graph_gives_the_same_logits"
WITHOUT_OBJECT = {
    "its_published_weights_have_complete_metadata": {
        *("ast_small", "ast_tiny", "panns_cnn14_decisionlevelavg", "panns_cnn14_mel32", "panns_cnn14_mel128"),
        "panns_wavegram_logmel128_cnn14",
    },
    "a_missing_required_param_is_refused_by_name": {"tones"},
    "a_path_that_does_not_exist_is_refused_by_name": {"tones"},
    "its_folds_partition_the_clips": {"folder"},
    "the_events_of_every_clip_are_possible": {"folder", "manifest", "shards", "tones"},
    "events_move_with_the_sound": {"band_limit", "codec", "gain", "noise", "random_equaliser", "reverb"},
}
"""The plugins in which a check has nothing to look at. In any other plugin that is a failure."""


def cases(cost, *left_out):
    for entry in ENTRIES:
        if entry.name not in left_out:
            marks = [pytest.mark.long] if cost is Cost.COMPUTES and entry.name in LONG else []
            yield pytest.param(entry, id=f"{entry.kind}-{entry.name}", marks=marks)


@pytest.fixture(scope="module")
def params_of(tmp_path_factory):
    made = {}

    def of(entry):
        if entry.kind == "dataset" and entry.name in MINIATURES and entry.name not in made:
            made[entry.name] = MINIATURES[entry.name](tmp_path_factory.mktemp(entry.name))
        return made.get(entry.name, {})

    return of


def has_no_object(check, subject):
    if check in FRAME_CHECKS and not hasattr(subject.plugin_class, "build_frames"):
        return True
    if check.needs_params and not dataclasses.fields(subject.plugin_class.Params):
        return True
    return subject.entry.name in WITHOUT_OBJECT.get(check.name, ())


def failures(entry, params, cost):
    """The checks of this cost that the plugin fails, and those that unexpectedly have nothing to look at in it."""
    subject = Subject(entry, params, CATALOG)
    checks = [check for check in checks_of(entry.kind) if check.cost is cost]
    if entry.name in STATIC_GRAPHS and cost is Cost.COMPUTES:
        (proved,) = (check for check in checks if check.name == STATIC_GRAPH)
        checks.remove(proved)
    assert checks
    failed = []
    for check in checks:
        outcome = run_check(check, subject)
        expected = Verdict.NOT_APPLICABLE if has_no_object(check, subject) else Verdict.OK
        if outcome.verdict is not expected:
            failed.append(f"{check.sentence}: {outcome.verdict.value}: {outcome.reason}")
    return failed


@pytest.mark.parametrize("entry", [*cases(Cost.QUICK)])
def test_what_a_plugin_declares_keeps_the_contract(entry, params_of):
    assert not hasattr(entry.load(), "known_gaps")
    assert failures(entry, params_of(entry), Cost.QUICK) == []


@pytest.mark.parametrize("entry", [*cases(Cost.COMPUTES, *BIG)])
def test_what_a_plugin_computes_keeps_the_contract(entry, params_of):
    assert failures(entry, params_of(entry), Cost.COMPUTES) == []


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks) for name, marks in LAUNCHED.items()])
def test_two_processes_train_a_step_of_a_model(name):
    assert failures(CATALOG.models.find(name), {}, Cost.LAUNCHES) == []


@pytest.mark.parametrize("entry", chosen("augmentation"), ids=lambda entry: entry.name)
def test_a_shipped_augmentation_names_its_source(entry):
    assert "Source:" in inspect.getdoc(entry.load())


def test_most_plugins_of_plugins_run_the_checks_themselves():
    """The models and their front ends are left, since one package offers up to eighteen of them."""
    here = {entry.origin.distribution for entry in ENTRIES} - {"pannsdist"}
    assert here == {"pannsdist-ast", "pannsdist-efficientat", "pannsdist-frame-mn", "pannsdist-kaldi-fbank"}
    installed = {entry.origin.distribution for kind in contracts.GROUPS for entry in chosen(kind)}
    offering = {path.parent.name for path in PLUGINS.glob("*/setup.cfg") if "\npannsdist." in path.read_text("utf-8")}
    assert installed - here >= offering - here
