"""Each check sees the fault that it is there for, and says which it is; a plugin without fault passes all of them."""

import numpy as np
import pytest
import soundfile
from faulty_plugins import BadParams
from small_parts import install

from pannsdist.devkit import Cost, Subject, Verdict, checks_of, judge
from pannsdist.registry import Catalog

PLUGINS = """
[pannsdist.datasets]
faulty = faulty_plugins:Dataset
faulty_placed = faulty_plugins:Placed
faulty_params = faulty_plugins:BadParams
faulty_nothing = nothing_here:Nothing
[pannsdist.features]
faulty = faulty_plugins:Feature
[pannsdist.models]
faulty = faulty_plugins:Model
[pannsdist.augmentations]
faulty = faulty_plugins:Augmentation
[pannsdist.metrics]
faulty = deciding:Hits
[pannsdist.optimizers]
faulty = deciding:Push
[pannsdist.schedules]
faulty = deciding:Halves
"""


@pytest.fixture
def subject(tmp_path, monkeypatch):
    """The subject of a kind, with params; `root` is a folder with sounds that may be opened."""
    site = tmp_path / "site"
    install(site, "faulty-plugins", PLUGINS)
    monkeypatch.syspath_prepend(str(site))

    def of(kind, name="faulty", **given):
        catalog = Catalog.installed()
        return Subject(catalog.registry(kind).find(name), given, catalog)

    return of


@pytest.fixture
def root(tmp_path):
    for name, level in (("opens", 0.1), ("soundfile", 0.1), ("silent", 0.0)):
        soundfile.write(tmp_path / f"{name}.wav", level * np.ones(4000, np.float32), 8000)
    return str(tmp_path)


def verdict_of(subject, name):
    (check,) = (check for check in checks_of(subject.entry.kind) if check.name == name)
    outcome = judge(check, subject)
    return outcome.verdict, outcome.reason


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("dataset", "faulty"),
        ("dataset", "faulty_placed"),
        ("feature", "faulty"),
        ("model", "faulty"),
        ("augmentation", "faulty"),
        ("metric", "faulty"),
        ("optimizer", "faulty"),
        ("schedule", "faulty"),
    ],
)
def test_a_plugin_without_fault_passes_every_check(subject, kind, name, root):
    given = {"root": root} if name == "faulty_placed" else {}
    checked = subject(kind, name, **given)
    for check in checks_of(kind):
        if check.cost is not Cost.LAUNCHES:
            outcome = judge(check, checked)
            assert outcome.verdict in (Verdict.OK, Verdict.NOT_APPLICABLE), (check.name, outcome.reason)


@pytest.mark.parametrize(
    ("kind", "fault", "check", "said"),
    [
        ("dataset", "one label", "it_has_train_and_valid_and_at_least_two_labels", "at least two labels"),
        ("dataset", "no valid", "it_has_train_and_valid_and_at_least_two_labels", "its splits are train, test"),
        ("dataset", "order", "its_clips_come_in_the_same_order_each_time", "its order is another in another process"),
        ("dataset", "order here", "its_clips_come_in_the_same_order_each_time", "is another when"),
        ("dataset", "twice", "the_ids_of_its_clips_are_unique", "2 ids stand twice, such as"),
        ("dataset", "leak", "its_splits_share_no_clip", "clip 'shared' is in train and in valid"),
        ("dataset", "same file", "its_splits_share_no_clip", "clip 'valid file' is in train and in valid"),
        ("dataset", "unknown label", "the_labels_of_every_clip_are_known", "has the unknown label ['shrill']"),
        ("dataset", "two labels", "the_labels_of_every_clip_are_known", "has 2 labels, but multi_label is False"),
        ("dataset", "opens", "listing_its_clips_opens_no_audio", "1 sounds are opened, such as ("),
        ("dataset", "soundfile", "listing_its_clips_opens_no_audio", "1 sounds are opened, such as ("),
        ("dataset", "silent", "its_first_clips_can_be_heard", "is silent"),
        ("dataset", "absent", "its_first_clips_can_be_heard", "there is no such file"),
        ("dataset", "local", "its_clips_reach_a_worker", "lambda"),
        ("dataset", "any split", "a_split_that_it_does_not_have_is_refused", "clips('no such split') is answered"),
        ("dataset", "fold twice", "each_fold_is_valid_once_and_no_clip_in_two", "but these are [1, 2, 2]"),
        (
            "dataset",
            "fold leaks",
            "each_fold_is_valid_once_and_no_clip_in_two",
            "with fold=1, train holds clips that are valid",
        ),
        ("feature", "details", "its_front_end_says_what_it_computes", "details of its front end are not sorted"),
        ("feature", "two", "its_front_end_says_what_it_computes", "say different things"),
        ("feature", "bins", "its_image_has_the_bins_and_the_hop_that_it_says", "4 bins, but it says 5"),
        ("feature", "hop", "its_image_has_the_bins_and_the_hop_that_it_says", "frames more"),
        ("feature", "double", "its_image_is_float32", "float64"),
        ("feature", "log", "silence_and_full_scale_stay_finite", "silence gives NaN or infinite values"),
        ("feature", "batch", "a_clip_gets_the_same_image_alone_and_in_a_batch", "alone and in a batch are"),
        ("feature", "random", "a_clip_gets_the_same_image_alone_and_in_a_batch", "another image the second time"),
        ("feature", "training", "training_does_not_change_what_it_computes", "give different images"),
        ("feature", "random", "two_of_it_compute_the_same", "give different images"),
        ("feature", "trains", "it_has_nothing_to_train_and_nothing_to_save", "trainable: weight"),
        ("feature", "saves", "it_has_nothing_to_train_and_nothing_to_save", "persistable: kept"),
        ("feature", "python", "as_a_static_graph_it_computes_the_same", "graph"),
        ("model", "front end", "its_feature_computes_what_it_was_made_for", "feature faulty computes"),
        (
            "model",
            "two logits",
            "it_gives_a_finite_logit_for_each_class_from_its_shortest_sound_on",
            "50 classes: logits (2, 2)",
        ),
        ("model", "double", "it_gives_a_finite_logit_for_each_class_from_its_shortest_sound_on", "float64"),
        ("model", "short", "it_gives_a_finite_logit_for_each_class_from_its_shortest_sound_on", "Error: "),
        ("model", "batch", "an_evaluation_is_the_same_each_time_and_for_a_clip_alone", "alone and in a batch are"),
        ("model", "random", "an_evaluation_is_the_same_each_time_and_for_a_clip_alone", "the second time"),
        ("model", "idle", "every_trainable_parameter_gets_a_gradient", "idle gets none"),
        ("model", "hidden state", "its_weights_can_be_taken_out_and_put_back", "part of it is not in state_dict"),
        ("model", "name", "one_seed_gives_one_network_whatever_was_built_before", "names: ['part"),
        ("model", "seed", "one_seed_gives_one_network_whatever_was_built_before", "other numbers in middle.weight"),
        ("model", "not the head", "only_its_head_depends_on_the_number_of_classes", "so does middle.bias"),
        ("augmentation", "shorter", "it_gives_as_many_finite_float32_samples_as_it_got", "becomes (3999,)"),
        ("augmentation", "double", "it_gives_as_many_finite_float32_samples_as_it_got", "becomes float64"),
        ("augmentation", "normalises", "silence_full_scale_and_a_single_sample_stay_finite", "silence becomes NaN"),
        ("augmentation", "remembers", "one_generator_gives_one_result_here_and_in_a_worker", "another the second time"),
        ("augmentation", "in place", "what_it_is_given_stays_as_it_is", "it writes into the waveform"),
        ("augmentation", "global", "it_draws_from_its_generator_alone", "it draws from `random`"),
        ("metric", "direction", "it_says_which_way_is_better_and_what_it_is_for", "higher_is_better is 'up'"),
        (
            "metric",
            "never",
            "it_says_which_way_is_better_and_what_it_is_for",
            "it applies to no task of 2, 5 or 12 classes",
        ),
        (
            "metric",
            "text",
            "it_gives_a_number_for_each_task_that_it_is_for",
            "it gives a str for 2 classes, one label a clip",
        ),
        (
            "metric",
            "remembers",
            "the_same_predictions_get_the_same_score_each_time",
            "another the second time, for 2 classes",
        ),
        ("metric", "writes", "what_it_is_given_stays_as_it_is", "it writes into the predictions"),
        ("metric", "order", "the_order_of_the_clips_does_not_matter", "and, the other way round,"),
        ("metric", "wrong way", "what_is_right_scores_better_than_what_is_wrong", "but right scores 1.0 and wrong 0.0"),
        (
            "metric",
            "raises for one class",
            "what_cannot_be_scored_gets_a_number_or_nan_and_no_error",
            "IndexError: no such class",
        ),
        (
            "optimizer",
            "some",
            "it_builds_an_optimizer_of_just_the_parameters_that_it_is_given",
            "moves other parameters",
        ),
        (
            "optimizer",
            "clips",
            "it_builds_an_optimizer_of_just_the_parameters_that_it_is_given",
            "clips gradients by itself",
        ),
        ("optimizer", "uphill", "it_goes_down_a_quadratic", "of the loss is left after"),
        (
            "optimizer",
            "vectors only",
            "it_moves_float32_parameters_of_one_to_four_axes",
            "the matrix stays where it is",
        ),
        (
            "optimizer",
            "moves frozen",
            "a_frozen_parameter_stays_until_it_is_thawed",
            "it moves a parameter that is frozen",
        ),
        ("optimizer", "forgets", "a_restart_in_the_middle_changes_nothing", "is in no accumulator"),
        ("optimizer", "restless", "at_a_learning_rate_of_zero_nothing_moves", "moves all the same"),
        ("optimizer", "first rate", "a_learning_rate_that_is_set_anew_is_heeded", "at a tenth of it"),
        (
            "optimizer",
            "no shares",
            "a_parameters_own_share_of_the_rate_is_heeded",
            "self._create_param_lr(param_and_grad)",
        ),
        ("schedule", "one step", "a_run_of_a_single_step_has_an_lr_factor", "ZeroDivisionError"),
        (
            "schedule",
            "nan",
            "its_lr_factor_is_a_finite_number_from_zero_up_at_every_step",
            "it is nan at step 1 of 1, 1 an epoch",
        ),
        ("schedule", "negative", "its_lr_factor_is_a_finite_number_from_zero_up_at_every_step", "it is -0.1 at step"),
        ("schedule", "text", "its_lr_factor_is_a_finite_number_from_zero_up_at_every_step", "it is a str at step"),
        (
            "schedule",
            "percent",
            "it_reaches_an_lr_factor_that_trains_and_none_that_is_a_learning_rate",
            "it reaches 100",
        ),
        (
            "schedule",
            "zero",
            "it_reaches_an_lr_factor_that_trains_and_none_that_is_a_learning_rate",
            "it is 0 at each of 7 steps",
        ),
        (
            "schedule",
            "remembers",
            "a_step_has_the_same_lr_factor_whenever_it_is_asked_for",
            "from the last to the first",
        ),
        ("schedule", "built", "a_step_has_the_same_lr_factor_whenever_it_is_asked_for", "of a new one step"),
    ],
)
def test_a_fault_is_seen_and_named(subject, root, kind, fault, check, said):  # noqa: PLR0917
    given = {"fault": fault, **({"root": root} if kind == "dataset" else {})}
    verdict, reason = verdict_of(subject(kind, **given), check)
    assert verdict is Verdict.FAIL, reason
    assert said in reason


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("its_params_are_a_frozen_dataclass", "write @dataclass(frozen=True) above Params"),
        ("each_param_says_what_it_is", "no word on depth: write NAME: TYPE = param(DEFAULT, MEANING)"),
        ("the_defaults_of_its_params_are_valid", "data.params.depth is -1"),
    ],
)
def test_params_that_are_not_as_they_should_be_are_named(subject, check, said):
    assert BadParams.Params().depth == -1
    verdict, reason = verdict_of(subject("dataset", "faulty_params"), check)
    assert verdict is Verdict.FAIL
    assert said in reason


@pytest.mark.parametrize(
    ("fault", "said"),
    [("any place", "root=.../nowhere.csv is accepted"), ("unnamed", "the refusal does not name the place")],
)
def test_a_missing_place_must_be_refused_by_name(subject, root, fault, said):
    checked = subject("dataset", "faulty_placed", root=root, fault=fault)
    verdict, reason = verdict_of(checked, "a_place_that_does_not_exist_is_refused_by_name")
    assert verdict is Verdict.FAIL
    assert said in reason


def test_a_plugin_that_cannot_be_imported_fails_with_the_reason(subject):
    verdict, reason = verdict_of(subject("dataset", "faulty_nothing"), "it_loads_and_keeps_the_contract")
    assert verdict is Verdict.FAIL
    assert "No module named 'nothing_here'" in reason


EFFECTS = {
    "import random; random.seed(3)": "changes the state of `random`",
    "import numpy; numpy.random.seed(3)": "changes the state of `numpy.random`",
    "import os; os.chdir('/')": "changes the working folder",
    "import os; os.environ['SOUND'] = 'loud'": "sets SOUND in the environment",
    "import paddle; paddle.seed(3)": "seeds Paddle",
    "import paddle; paddle.set_device('cpu')": "touches the device: paddle.device.set_device",
    "import paddle; ONE = paddle.ones([1])": "touches the device: paddle.tensor.creation.ones",
    "import paddle; paddle.set_default_dtype('float64')": "changes Paddle's default type",
    "import threading; threading.Timer(60, print).start()": "starts a thread",
}
"""Lines of a module, and the side effect of each. One module has them all, since each module takes a process."""


@pytest.mark.parametrize(
    "effects",
    [{"print('hello')": "prints 'hello'"}, {"import os; os.write(2, b'from C')": "prints 'from C'", **EFFECTS}],
    ids=["print", "all others"],
)
def test_every_side_effect_of_an_import_is_named(tmp_path, monkeypatch, effects):
    name = f"fake_effects_{len(effects)}"
    install(tmp_path, "fake-effect", f"[pannsdist.augmentations]\nfake_effect = {name}:Augmentation\n")
    text = "\n".join([*effects, "from faulty_plugins import Augmentation", ""])
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    catalog = Catalog.installed()
    checked = Subject(catalog.augmentations.find("fake_effect"), {}, catalog)
    verdict, reason = verdict_of(checked, "importing_it_has_no_side_effect")
    assert verdict is Verdict.FAIL
    said = reason.removeprefix("importing it ").split("; it ")
    assert [effect for effect in effects.values() if not any(effect in one for one in said)] == []


def test_importing_a_module_that_imports_paddle_is_no_side_effect(tmp_path, monkeypatch):
    install(tmp_path, "fake-clean", "[pannsdist.augmentations]\nfake_clean = fake_clean:Augmentation\n")
    text = "import paddle\nimport paddle.nn.functional\nfrom faulty_plugins import Augmentation\n"
    (tmp_path / "fake_clean.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    catalog = Catalog.installed()
    checked = Subject(catalog.augmentations.find("fake_clean"), {}, catalog)
    assert verdict_of(checked, "importing_it_has_no_side_effect")[0] is Verdict.OK
