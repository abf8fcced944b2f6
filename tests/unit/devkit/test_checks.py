"""Each check sees the fault that it is there for, and says which it is; a plugin without fault passes all of them."""

import numpy as np
import pytest
import soundfile
from faulty_plugins import BadParams
from small_parts import install

from pannsdist.devkit import Cost, Subject, Verdict, checks_of, run_check
from pannsdist.registry import Catalog

pytestmark = pytest.mark.slow
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
faulty = faulty_training_plugins:Hits
[pannsdist.optimizers]
faulty = faulty_training_plugins:Push
[pannsdist.schedules]
faulty = faulty_training_plugins:Halves
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
    outcome = run_check(check, subject)
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
            outcome = run_check(check, checked)
            assert outcome.verdict in (Verdict.OK, Verdict.NOT_APPLICABLE), (check.name, outcome.reason)


@pytest.mark.parametrize(
    ("kind", "fault", "check", "said"),
    [
        ("dataset", "one label", "it_has_train_and_valid_and_at_least_two_labels", "at least two unique labels"),
        ("dataset", "no valid", "it_has_train_and_valid_and_at_least_two_labels", "its splits are train, test"),
        ("dataset", "order", "the_order_of_its_clips_is_deterministic", "the order changes in another process"),
        ("dataset", "order here", "the_order_of_its_clips_is_deterministic", "changes from call to call"),
        ("dataset", "twice", "the_ids_of_its_clips_are_unique", "2 ids are repeated, such as"),
        ("dataset", "leak", "its_splits_are_disjoint", "clip 'shared' is in both train and valid"),
        ("dataset", "same file", "its_splits_are_disjoint", "clip 'valid file' is in both train and valid"),
        ("dataset", "unknown label", "the_labels_of_every_clip_are_known", "has the unknown label ['shrill']"),
        ("dataset", "two labels", "the_labels_of_every_clip_are_known", "has 2 labels, but multi_label is False"),
        ("dataset", "late event", "the_events_of_every_clip_are_possible", "from 0.0 to 0.75 s, and lasts 0.5 s"),
        ("dataset", "opens", "listing_its_clips_opens_no_audio", "1 audio files are opened, such as ("),
        ("dataset", "soundfile", "listing_its_clips_opens_no_audio", "1 audio files are opened, such as ("),
        ("dataset", "silent", "its_first_clips_can_be_decoded", "is silent"),
        ("dataset", "absent", "its_first_clips_can_be_decoded", "there is no such file"),
        ("dataset", "local", "its_clips_can_be_pickled", "lambda"),
        ("dataset", "any split", "an_unknown_split_is_refused", "clips('no such split') returns"),
        ("dataset", "fold twice", "its_folds_partition_the_clips", "folds are needed: [1, 2, 2]"),
        (
            "dataset",
            "fold leaks",
            "its_folds_partition_the_clips",
            "with fold=1, clips of valid are also in train",
        ),
        ("feature", "details", "its_front_end_is_stable_and_serializable", "details of its front end are not sorted"),
        ("feature", "two", "its_front_end_is_stable_and_serializable", "have different front ends"),
        ("feature", "bins", "its_output_has_the_declared_bins_and_hop", "4 bins, but its front end has 5"),
        ("feature", "hop", "its_output_has_the_declared_bins_and_hop", "more frames"),
        ("feature", "double", "its_output_is_float32", "float64"),
        ("feature", "log", "silence_and_full_scale_stay_finite", "silence gives NaN or infinite values"),
        ("feature", "batch", "its_output_does_not_depend_on_the_batch", "single clips and for the batch differ"),
        ("feature", "random", "its_output_does_not_depend_on_the_batch", "different output the second time"),
        ("feature", "training", "train_and_eval_mode_give_the_same_output", "give different outputs"),
        ("feature", "random", "two_instances_give_the_same_output", "give different outputs"),
        ("feature", "trains", "it_has_no_parameters_and_no_persistent_buffers", "trainable parameters: weight"),
        ("feature", "saves", "it_has_no_parameters_and_no_persistent_buffers", "persistent: kept"),
        ("feature", "python", "its_static_graph_gives_the_same_output", "graph"),
        ("model", "front end", "its_feature_computes_the_declared_front_end", "feature faulty computes"),
        (
            "model",
            "two logits",
            "its_logits_are_finite_from_the_minimum_length_on",
            "50 classes: logits (2, 2)",
        ),
        ("model", "double", "its_logits_are_finite_from_the_minimum_length_on", "float64"),
        ("model", "short", "its_logits_are_finite_from_the_minimum_length_on", "Error: "),
        (
            "model",
            "batch",
            "evaluation_is_deterministic_and_independent_of_the_batch",
            "single clips and for the batch differ",
        ),
        ("model", "random", "evaluation_is_deterministic_and_independent_of_the_batch", "the second time"),
        ("model", "idle", "every_trainable_parameter_gets_a_gradient", "idle gets no gradient"),
        ("model", "hidden state", "its_state_dict_restores_identical_outputs", "some state is not in state_dict"),
        ("model", "name", "its_initialization_depends_only_on_the_seed", "names: ['part"),
        ("model", "seed", "its_initialization_depends_only_on_the_seed", "other values in middle.weight"),
        (
            "model",
            "not the head",
            "only_its_head_depends_on_the_number_of_classes",
            "these depend on it too: middle.bias",
        ),
        ("augmentation", "shorter", "it_keeps_length_and_dtype_and_gives_finite_samples", "becomes (3999,)"),
        ("augmentation", "double", "it_keeps_length_and_dtype_and_gives_finite_samples", "becomes float64"),
        ("augmentation", "normalises", "silence_full_scale_and_a_single_sample_stay_finite", "silence becomes NaN"),
        (
            "augmentation",
            "remembers",
            "its_result_depends_only_on_clip_and_generator",
            "the result differs the second time",
        ),
        ("augmentation", "in place", "its_input_is_not_modified", "it modifies its input in place"),
        ("augmentation", "global", "it_uses_only_the_given_generator", "it draws from `random`"),
        ("metric", "direction", "it_declares_its_direction_and_its_tasks", "higher_is_better is 'up'"),
        (
            "metric",
            "never",
            "it_declares_its_direction_and_its_tasks",
            "it applies to no task of 2, 5 or 12 classes",
        ),
        (
            "metric",
            "text",
            "it_gives_a_finite_score_for_each_supported_task",
            "it returns a str for 2 classes, single-label",
        ),
        (
            "metric",
            "remembers",
            "it_is_deterministic_and_stateless",
            "the score differs the second time, for 2 classes",
        ),
        ("metric", "writes", "its_input_is_not_modified", "it modifies the predictions in place"),
        ("metric", "order", "the_order_of_the_clips_does_not_matter", "and in reverse order"),
        (
            "metric",
            "wrong way",
            "correct_predictions_score_better_than_wrong_ones",
            "but correct scores 1.0 and wrong 0.0",
        ),
        (
            "metric",
            "raises for one class",
            "degenerate_predictions_give_a_number_or_nan",
            "IndexError: no such class",
        ),
        (
            "optimizer",
            "some",
            "it_optimizes_only_the_given_parameters",
            "updates other parameters",
        ),
        (
            "optimizer",
            "clips",
            "it_optimizes_only_the_given_parameters",
            "clips gradients itself",
        ),
        ("optimizer", "uphill", "it_minimizes_a_quadratic", "of the initial one after"),
        (
            "optimizer",
            "vectors only",
            "it_updates_float32_parameters_of_one_to_four_axes",
            "the matrix is not updated",
        ),
        (
            "optimizer",
            "moves frozen",
            "a_frozen_parameter_is_unchanged_until_it_is_unfrozen",
            "it updates a frozen parameter",
        ),
        ("optimizer", "forgets", "resuming_from_its_state_is_exact", "is in no accumulator"),
        ("optimizer", "restless", "a_learning_rate_of_zero_changes_nothing", "is updated all the same"),
        ("optimizer", "first rate", "a_new_learning_rate_takes_effect_in_the_next_step", "at a tenth of it"),
        (
            "optimizer",
            "no shares",
            "the_learning_rate_factor_of_a_parameter_is_applied",
            "self._create_param_lr(param_and_grad)",
        ),
        ("schedule", "one step", "a_run_of_a_single_step_has_an_lr_factor", "ZeroDivisionError"),
        (
            "schedule",
            "nan",
            "its_lr_factor_is_finite_and_not_negative_at_every_step",
            "it is nan at step 1 of 1, with 1 steps per epoch",
        ),
        ("schedule", "negative", "its_lr_factor_is_finite_and_not_negative_at_every_step", "it is -0.1 at step"),
        ("schedule", "text", "its_lr_factor_is_finite_and_not_negative_at_every_step", "it is a str at step"),
        (
            "schedule",
            "percent",
            "its_highest_lr_factor_is_above_zero_and_at_most_ten",
            "it reaches 100",
        ),
        (
            "schedule",
            "zero",
            "its_highest_lr_factor_is_above_zero_and_at_most_ten",
            "it is 0 at all 7 steps",
        ),
        (
            "schedule",
            "remembers",
            "its_lr_factor_depends_on_the_step_alone",
            "in reverse order",
        ),
        ("schedule", "built", "its_lr_factor_depends_on_the_step_alone", "a new instance gives"),
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
        ("each_param_is_documented", "undocumented: depth; write NAME: TYPE = param(DEFAULT, MEANING)"),
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
    [("any place", "root=.../nowhere.csv is accepted"), ("unnamed", "the error does not name the path")],
)
def test_a_missing_place_must_be_refused_by_name(subject, root, fault, said):
    checked = subject("dataset", "faulty_placed", root=root, fault=fault)
    verdict, reason = verdict_of(checked, "a_path_that_does_not_exist_is_refused_by_name")
    assert verdict is Verdict.FAIL
    assert said in reason


def test_a_plugin_that_cannot_be_imported_fails_with_the_reason(subject):
    verdict, reason = verdict_of(subject("dataset", "faulty_nothing"), "it_loads_and_conforms_to_the_contract")
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
