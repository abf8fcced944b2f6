"""What would be uploaded to a package index: the sdist and wheels, their contents, metadata and versions."""

import ast
import configparser
import email
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import packing
import pytest
from architecture import ROOT

import pannsdist
from pannsdist.settings.recipe_files import recipes, soundscape_recipes

pytestmark = pytest.mark.slow

PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("pannsdist-*/setup.cfg"))
NAMES = ("pannsdist", *(folder.name for folder in PLUGINS))
PROVIDED = {"sklearn": "scikit-learn", "PIL": "pillow", "google": "protobuf", "yaml": "pyyaml"}
"""Distributions by the package that is imported, where the names differ."""
SERVE = ("fastapi", "prometheus_client", "pydantic", "python_multipart", "starlette", "swagger_ui_bundle", "uvicorn")
EXTRAS = ("paddle", "onnx", "onnxruntime", "pytest", "fsspec", "av", "sounddevice", *SERVE)
"""Packages that come with an extra of pannsdist, or with what calls it: which wheel of Paddle depends on the GPU."""
RECIPES = (*recipes(), *soundscape_recipes())
BROUGHT = {
    "pannsdist": {f"pannsdist/settings/recipes/{recipe}.yaml" for recipe in RECIPES},
    "pannsdist-web": {
        f"pannsdist_web/runtime/{name}" for name in ("ort-wasm-simd-threaded.wasm", "ort.wasm.bundle.min.mjs")
    },
}
"""What a wheel holds beside the files of its package in git."""
LICENCES = {"pannsdist-web": "Apache-2.0 AND MIT"}
LARGEST = 1_000_000
"""Bytes of the sdist: it has neither tests nor pictures."""


def wheel_of(wheels, name):
    (path,) = wheels.glob(f"{name.replace('-', '_')}-*.whl")
    return zipfile.ZipFile(path)


def metadata_of(wheels, name):
    archive = wheel_of(wheels, name)
    (path,) = (path for path in archive.namelist() if path.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(archive.read(path))


def source_of(name):
    return ROOT if name == "pannsdist" else ROOT / "plugins" / name


def package_of(name):
    """The files of a package, as they lie in a wheel."""
    folder = "" if name == "pannsdist" else f"plugins/{name}/"
    return {path.removeprefix(folder) for path in packing.tracked(folder + name.replace("-", "_"))}


def test_every_distribution_is_built_once(wheels):
    assert sorted(path.name for path in wheels.iterdir()) == sorted(
        [f"{name.replace('-', '_')}-{pannsdist.__version__}-py3-none-any.whl" for name in NAMES]
        + [f"pannsdist-{pannsdist.__version__}.tar.gz"]
    ), "all distributions of this repository have one version, that of pannsdist.__version__"


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_has_every_file_of_its_package_the_licence_and_nothing_else(wheels, name):
    held = {path for path in wheel_of(wheels, name).namelist() if ".dist-info/" not in path}
    assert held == package_of(name) | BROUGHT.get(name, set())
    (licence,) = (path for path in wheel_of(wheels, name).namelist() if path.endswith("/LICENSE"))
    assert wheel_of(wheels, name).read(licence) == (ROOT / "LICENSE").read_bytes()


def test_the_sdist_has_the_package_the_recipes_and_what_builds_them(wheels):
    (path,) = wheels.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    beside = {
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "MANIFEST.in",
        "pyproject.toml",
        "setup.cfg",
        "setup.py",
        "PKG-INFO",
    }
    held = {name for name in names if ".egg-info/" not in name}
    assert held == package_of("pannsdist") | beside | {f"configs/{recipe}.yaml" for recipe in RECIPES}
    assert path.stat().st_size < LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_the_metadata_say_what_an_index_shows(wheels, name):
    metadata = metadata_of(wheels, name)
    assert (metadata["Name"], metadata["Version"]) == (name, pannsdist.__version__)
    assert metadata["Summary"] and metadata["Requires-Python"] == ">=3.10"
    assert metadata["License"] == LICENCES.get(name, "Apache-2.0")
    assert "Topic :: Multimedia :: Sound/Audio :: Analysis" in metadata.get_all("Classifier")
    assert metadata["Description-Content-Type"] == "text/markdown"
    description = metadata.get_payload(decode=True).decode()
    assert description.splitlines()[0] == f"# {name}"
    assert re.findall(r"\]\((?![a-z]+:|#)[^)]*\)", description) == [], "an index has no files for relative links"
    assert len(description) > 0.9 * len((source_of(name) / "README.md").read_text(encoding="utf-8"))


def test_twine_finds_nothing_to_complain_about(wheels):
    pytest.importorskip("twine")
    command = [sys.executable, "-m", "twine", "check", "--strict", *sorted(wheels.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == len(NAMES) + 1


def required(wheels, name):
    """The distributions that a wheel requires without its extras."""
    lines = metadata_of(wheels, name).get_all("Requires-Dist", [])
    return {re.match(r"[\w-]+", line)[0].lower() for line in lines if "extra ==" not in line}


def imported(path: Path) -> set[str]:
    """The packages that a module imports, on whatever line."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names


@pytest.mark.parametrize("name", NAMES)
def test_what_a_package_imports_is_required(wheels, name):
    folder, own = source_of(name), name.replace("-", "_")
    packages = {package for path in (folder / own).rglob("*.py") for package in imported(path)} - {own, *EXTRAS}
    needed = {PROVIDED.get(package, package.replace("_", "-")).lower() for package in packages}
    assert needed - required(wheels, name) == set()


def test_an_empty_folder_finds_every_plugin_of_the_installed_wheels(installed, tmp_path):
    done = subprocess.run(
        [installed / "pannsdist", "plugins", "list"],
        cwd=tmp_path,
        env=packing.clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for folder in PLUGINS:
        config = configparser.ConfigParser()
        config.read(folder / "setup.cfg", encoding="utf-8")
        if not config.has_section("options.entry_points"):  # no plugin, but files
            continue
        named = "\n".join(config["options.entry_points"].values())
        for name in re.findall(r"^(\w+) =", named, re.MULTILINE):
            assert re.search(rf"\b{name} .*{folder.name} ", done.stdout), f"{name} of {folder.name}"
    assert (packing.site_of(installed) / "pannsdist" / "py.typed").is_file()


@pytest.mark.long
def test_make_dist_builds_what_is_committed_and_has_it_checked(wheels, tmp_path):
    pytest.importorskip("build")
    pytest.importorskip("twine")
    project = tmp_path / "project"
    for name in packing.tracked():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name, follow_symlinks=False)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], cwd=project, check=True)
    (project / "pannsdist" / "not_committed.py").write_text("")
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    for name in ("installed", "developed"):
        (project / ".venv" / name).touch()
    done = subprocess.run(["make", "dist"], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    built = project / "dist"
    assert {path.name for path in built.iterdir()} == {path.name for path in wheels.iterdir()}
    assert set(wheel_of(built, "pannsdist").namelist()) == set(wheel_of(wheels, "pannsdist").namelist())
