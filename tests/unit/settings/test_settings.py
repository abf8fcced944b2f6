"""Settings: files, their bases, the command line, and what is refused on the way."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pannsdist.builtin.waveform import WaveformParams
from pannsdist.registry import Catalog
from pannsdist.run.planning.selection import choose_plugins
from pannsdist.runtime.errors import SettingsError, UserError
from pannsdist.settings import (
    SettingsOrigin,
    describe,
    fill_params,
    load,
    read_yaml,
    subset_overrides,
    to_dict,
    to_yaml,
)
from pannsdist.settings.schema import Settings

ENOUGH = "model: {name: small}\ndata: {name: tones}\n"


@pytest.fixture
def write(tmp_path):
    def put(text, name="run.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return put


def refusal(path, *overrides):
    with pytest.raises(SettingsError) as caught:
        load(path, overrides)
    return str(caught.value)


def test_what_is_not_set_has_its_default(write):
    settings, _ = load(write(ENOUGH))
    assert (settings.name, settings.train.epochs, settings.optimizer.name) == ("run", 30, "AdamW")
    assert settings.data.min_clip_s is None
    assert settings.model.params == {}


def test_settings_cannot_be_changed(write):
    settings, _ = load(write(ENOUGH))
    with pytest.raises(AttributeError):
        settings.train.epochs = 3


def test_a_file_wins_over_its_base_and_the_base_over_its_own(write):
    write("seed: 1\ntrain: {epochs: 1, batch_size: 1, crop_s: 1.0}\n", "first.yaml")
    write("base: first.yaml\nseed: 2\ntrain: {epochs: 2, batch_size: 2}\n", "second.yaml")
    settings, _ = load(write(ENOUGH + "base: second.yaml\ntrain: {epochs: 3}\n"))
    assert (settings.train.epochs, settings.train.batch_size, settings.train.crop_s) == (3, 2, 1.0)
    assert settings.seed == 2


def test_a_base_is_relative_to_the_file_that_names_it(write):
    write("base: inner/second.yaml\n", "first.yaml")
    write("base: third.yaml\n", "inner/second.yaml")
    path = write(ENOUGH + "seed: 7\n", "inner/third.yaml")
    assert load(path.parent.parent / "first.yaml")[0].seed == 7


def test_params_of_a_plugin_are_merged_over_the_bases(write):
    write("data: {params: {root: here, fold: 1}}\n", "base.yaml")
    settings, _ = load(write(ENOUGH + "base: base.yaml\n"), ["data.params.fold=2"])
    assert settings.data.params == {"root": "here", "fold": 2}


def test_a_pattern_that_starts_with_a_star_needs_no_quotes_of_yaml(write):
    settings, _ = load(write(ENOUGH), ["data.params.group=*_(*)_*", 'data.params.other="*x"'])
    assert settings.data.params == {"group": "*_(*)_*", "other": "*x"}


def test_files_that_name_each_other_as_base_are_refused(write):
    write("base: run.yaml\n", "other.yaml")
    said = refusal(write("base: other.yaml\n"))
    assert said.startswith("circular base files: ")
    assert "run.yaml -> " in said
    assert "remove one `base:` line" in said


@pytest.mark.parametrize("base", ["[a.yaml, b.yaml]", "3"])
def test_a_base_that_is_no_path_is_refused(write, base):
    path = write(f"base: {base}\n")
    assert refusal(path).startswith(f"base in {path} is ")


def test_the_command_line_wins_over_the_file(write):
    settings, source = load(write(ENOUGH + "train: {epochs: 3}\n"), ["train.epochs=5", "name=other"])
    assert (settings.train.epochs, settings.name) == (5, "other")
    assert source.where("train.epochs") == "train.epochs on the command line"


def test_a_refusal_says_which_file_set_the_key_last(write):
    base = write("train: {epochs: 3, batch_size: 4}\n", "base.yaml")
    path = write(ENOUGH + "base: base.yaml\ntrain: {epochs: 4}\n")
    _, source = load(path)
    assert source.where("train.epochs") == f"train.epochs in {path}"
    assert source.where("train.batch_size") == f"train.batch_size in {base}"
    assert source.where("seed") == "seed"
    assert source.command == f"pannsdist config show -c {path}"


def test_an_unknown_key_is_refused_with_the_nearest_and_its_file(write):
    path = write(ENOUGH + "train: {epoch: 3}\n")
    said = refusal(path)
    assert said.startswith(f"unknown key train.epoch in {path}\n  closest: epochs.  keys of train: ")
    assert said.endswith(f"next: pannsdist config show -c {path}")


def test_an_unknown_section_is_refused(write):
    assert refusal(write(ENOUGH + "trian: {epochs: 3}\n")).splitlines()[1].startswith("  closest: train.  keys: ")


def test_an_unknown_key_on_the_command_line_is_said_to_be_there(write):
    said = refusal(write(ENOUGH), "optimizer.learning_rat=1.0")
    assert said.startswith("unknown key optimizer.learning_rat on the command line\n  closest: learning_rate.")


def test_a_value_of_the_wrong_type_is_refused_with_the_right_one(write):
    path = write(ENOUGH + "train: {epochs: many}\n")
    said = refusal(path)
    assert said.startswith(f"train.epochs in {path}: ")
    assert "'many'" in said
    assert "train.epochs: a value of type int" in said


def test_no_value_for_a_text_is_refused_with_what_an_empty_one_is(write):
    said = refusal(write(ENOUGH), "model.weights=")
    assert "model.weights: a value of type str; the empty text is 'model.weights=\"\"'" in said
    assert load(write(ENOUGH), ['model.weights=""'])[0].model.weights == ""


@pytest.mark.parametrize(
    ("override", "right"),
    [
        ("train.epochs=0", "1 or more"),
        ("train.crop_s=0", "above 0, up to 3600"),
        ("train.crop_s=3601", "above 0, up to 3600"),
        ("optimizer.learning_rate=0", "above 0, up to 100"),
        ("optimizer.learning_rate=nan", "above 0, up to 100"),
        ("schedule.final_lr_factor=1.5", "0 to 1"),
        ("data.on_bad_clip=ignore", "one of stop, skip"),
        ("data.workers=-1", "auto or 0 to 256"),
        ("data.workers=257", "auto or 0 to 256"),
        ("data.workers=many", "auto or 0 to 256"),
        ("seed=-1", "0 to 4294967295"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(write, override, right):
    key = override.partition("=")[0]
    said = refusal(write(ENOUGH), override)
    assert said.startswith(f"{key} on the command line is ")
    assert f"\n  allowed: {right}\n" in said


@pytest.mark.parametrize("value", ["null", "true", "1.5", "[1]"])
def test_a_number_that_may_be_chosen_is_no_other_value(write, value):
    said = refusal(write(ENOUGH), f"data.workers={value}")
    assert said.startswith("data.workers on the command line: ")
    assert "\n  data.workers: auto or 0 to 256\n" in said


@pytest.mark.parametrize("value", ["0", "256"])
def test_the_ends_of_a_range_are_allowed(write, value):
    assert load(write(ENOUGH), [f"data.workers={value}"])[0].data.workers == int(value)


@pytest.mark.parametrize("value", ["3", "null", "[epochs]"])
def test_a_value_in_the_place_of_a_section_is_refused(write, value):
    path = write(ENOUGH + f"train: {value}\n")
    said = refusal(path)
    assert said.startswith(f"train in {path} is ")
    assert "but it is a section\n  write train.KEY=VALUE" in said


def test_a_section_in_the_place_of_a_value_is_refused(write):
    assert "train.epochs" in refusal(write(ENOUGH + "train: {epochs: {a: 1}}\n"))


def test_a_missing_file_is_refused_by_name(tmp_path):
    said = refusal(tmp_path / "absent.yaml")
    right = "give a YAML file with -c, or a recipe, as recipe:NAME"
    assert said == f"no settings file {tmp_path}/absent.yaml\n  {right}\n  next: pannsdist config list"


@pytest.mark.parametrize("given", ["digits", "digits.yml", "digits.json"])
def test_the_settings_file_of_that_name_with_another_ending_is_named(write, tmp_path, given):
    write(ENOUGH).rename(tmp_path / "digits.yaml")
    assert f"\n  there is a file {tmp_path}/digits.yaml\n" in refusal(tmp_path / given)


def test_a_missing_base_is_refused_by_name(write, tmp_path):
    assert refusal(write("base: absent.yaml\n")).startswith(f"no settings file {tmp_path}/absent.yaml")


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    assert str(tmp_path) in refusal(tmp_path)


@pytest.mark.parametrize("text", ["a: [1\n", "a: b: c\n", "\tx: 1\n"])
def test_a_file_that_is_no_yaml_is_refused(write, text):
    path = write(text)
    assert refusal(path).startswith(f"{path} is not valid YAML: ")


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n"])
def test_a_file_without_keys_is_refused(write, text):
    assert str(write(text)) in refusal(write(text))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(b"\xff\xfe\x00a")
    assert str(path) in refusal(path)


def test_a_required_key_that_is_not_set_is_refused(write):
    said = refusal(write("data: {name: tones}\n"))
    assert said.startswith("model.name is not set\n  give it in the file or as model.name=VALUE")


@pytest.mark.parametrize("item", ["train.epochs", "--epochs=3", "train.epochs = 3", " train.epochs=3"])
def test_an_override_that_is_no_setting_is_refused(write, item):
    said = refusal(write(ENOUGH), item)
    right = "write key=value, such as train.epochs=3, without spaces around ="
    assert said == f"'{item}' is not a setting\n  {right}"


def test_a_value_with_an_equals_sign_and_spaces_arrives_whole(write):
    assert load(write(ENOUGH), ["model.weights=a = b.pth"])[0].model.weights == "a = b.pth"


@dataclass(frozen=True)
class Params:
    """Settings of some plugin."""

    root: str
    folds: list[int] = field(default_factory=lambda: [1, 2])
    share: float = field(default=0.5, metadata={"low": 0, "high": 1})


def params_refusal(values, params=Params):
    with pytest.raises(UserError) as caught:
        fill_params(params, values, SettingsOrigin(), "data.params")
    return str(caught.value)


def test_params_of_a_plugin_go_through_the_same_door():
    params = fill_params(Params, {"root": "a", "share": 1}, SettingsOrigin(), "data.params")
    assert params == Params("a", [1, 2], 1.0)
    assert isinstance(params.share, float)


def test_a_typo_in_the_params_of_a_plugin_is_refused_with_the_nearest():
    said = params_refusal({"rot": "a"})
    assert said.startswith("unknown key data.params.rot\n  closest: root.  keys of data.params: folds, root, share")


def test_a_required_param_that_is_not_set_is_refused():
    assert params_refusal({}).startswith("data.params.root is not set\n  give it in the file or as data.params.root=")


def test_a_param_of_the_wrong_type_or_out_of_range_is_refused():
    assert "data.params.share: a value of type" in params_refusal({"root": "a", "share": "half"})
    assert params_refusal({"root": "a", "share": 2}).startswith("data.params.share is 2")


def test_what_a_plugin_itself_refuses_arrives_as_it_said_it():
    said = params_refusal({"sample_rate_hz": 0}, WaveformParams)
    assert said == "feature.params.sample_rate_hz is 0\n  allowed: 1 or more"


def test_settings_written_as_yaml_are_read_back_the_same(write):
    settings, _ = load(write(ENOUGH), ["data.params.root='1'", "optimizer.learning_rate=1e-5", "name='null'"])
    again = write(to_yaml(settings), "again.yaml")
    assert load(again)[0] == settings
    assert read_yaml(again) == to_dict(settings)


def test_the_description_of_the_schema_names_what_is_required():
    rows = {key: (default, doc) for key, default, doc in describe(Settings)}
    assert rows["model.name"] == ("(required)", "model plugin")
    assert rows["train.epochs"][0] == 30
    assert rows["data.params"][0] == {}
    assert next(default for key, default, _ in describe(Params) if key == "root") == "(required)"


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_is_valid(path):
    enough = ["model.name=panns_cnn6", "data.name=tones"] if path.stem == "base" else []
    chosen, _ = load(path, enough)
    catalog = Catalog.installed()
    plugins = choose_plugins(*load(path, [*enough, "data.name=tones"]), catalog)  # its own corpus may not be here
    assert plugins.model.plugin.accepts(plugins.front_end)
    assert chosen.model.weights in {"", *plugins.model.plugin.weights}
    assert catalog.datasets.find(chosen.data.name).origin.distribution
    assert set(chosen.augment) <= set(catalog.augmentations.entries)


def test_another_plugin_does_not_inherit_the_params_of_the_one_it_replaces(tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text("data: {name: tones, params: {classes: 3}, workers: 1}\nmodel: {name: panns_cnn6}\n")
    child = tmp_path / "child.yaml"
    child.write_text("base: base.yaml\ndata: {name: folder, params: {root: sounds}}\n")
    assert load(child)[0].data.params == {"root": "sounds"}
    assert load(child, ["data.name=folder"])[0].data.params == {"root": "sounds"}
    assert load(base, ["data.name=folder"])[0].data.params == {}
    assert load(base, ["data.name=tones", "data.params.seed=2"])[0].data.params == {"classes": 3, "seed": 2}


def test_flags_of_a_first_try_stand_for_settings():
    assert subset_overrides(None, None) == []
    assert subset_overrides(3, None) == ["train.limit_steps=3", "valid.limit_batches=3"]
    assert subset_overrides(None, 2) == ["train.overfit_batches=2"]


@pytest.mark.parametrize("way", ["named", "linked"])
def test_a_file_that_is_no_settings_file_is_not_read_nor_shown(write, tmp_path, way):
    (tmp_path / "shadow").write_text("root:$6$secret: 19\n  x: [\n")
    (tmp_path / "linked.yaml").symlink_to("shadow")
    said = refusal(write(f"base: {'shadow' if way == 'named' else 'linked.yaml'}\n"))
    assert "is not a settings file: it is not read" in said
    assert "secret" not in said


def test_a_base_that_no_file_can_be_is_refused(write):
    assert "is not the name of a file" in refusal(write('base: "a\\0b.yaml"\n'))
    assert "File name too long" in refusal(write(f"base: {'n' * 300}.yaml\n"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_of_windows_is_read_by_its_byte_order_mark(tmp_path, encoding):
    path = tmp_path / "run.yaml"
    path.write_bytes((ENOUGH + "name: 狗\r\n").encode(encoding))
    assert load(path)[0].name == "狗"


def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes((ENOUGH + "name: 狗\n").encode("gbk"))
    assert refusal(path).startswith(f"{path}:3: not UTF-8\n  save it as UTF-8, or convert it")
    path.write_bytes(b"base: other.yaml\n")
    (tmp_path / "other.yaml").write_bytes("name: a\n".encode("utf-16-le"))
    assert refusal(path).startswith(f"{tmp_path}/other.yaml:1: a zero byte, so it is not UTF-8\n")


def test_an_override_may_hold_a_name_that_is_not_utf8(write):
    settings, _ = load(write(ENOUGH), ["data.params.root=/data/\udcb9\udcb7"])
    assert settings.data.params["root"] == "/data/\\xb9\\xb7"
    to_yaml(settings).encode()


@pytest.mark.parametrize(
    ("key", "pointer"),
    [
        ("optimizer.lr", "optimizer.learning_rate"),
        ("train.lr", "optimizer.learning_rate"),
        ("lr", "optimizer.learning_rate"),
        ("batch_size", "train.batch_size"),
        ("optimizer.weight_decay", "optimizer.params.weight_decay"),
        ("train.fp16", "train.amp"),
        ("num_workers", "data.workers"),
        ("train.seed", "seed"),
    ],
)
def test_the_name_that_another_library_uses_points_to_the_key(tmp_path, key, pointer):
    path = tmp_path / "with a space.yaml"
    path.write_text("model: {name: a}")
    with pytest.raises(SettingsError) as raised:
        load(path, [f"{key}=1"])
    section, _, name = pointer.rpartition(".")
    said = f"closest: {name}." if section == key.rpartition(".")[0] else f"it is {pointer} here"
    assert said in raised.value.right
    assert raised.value.command == f"pannsdist config show -c '{path}'"


@pytest.mark.parametrize("value", ["/data/a${b}", "a${seed}", "${runs}", "a${b", "a\\${b}"])
@pytest.mark.parametrize("key", ["data.params.root", "runs", "model.weights"])
def test_a_name_with_the_start_of_a_reference_is_refused_with_what_to_do(write, key, value):
    for message in (refusal(write(ENOUGH), f"{key}='{value}'"), refusal(write(ENOUGH), f"{key}={value}")):
        assert key in message
        assert "rename a file or folder that has it in its name, or give a link to it" in message
    with pytest.raises(SettingsError, match="settings have none"):
        load({"name": value})
    with pytest.raises(SettingsError, match="settings have none"):
        fill_params(WaveformParams, {"sample_rate_hz": value}, SettingsOrigin(), "feature.params")
