"""The documentation: its links resolve, its two languages hold the same pages, and it names no file that is gone."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest
from architecture import PAGES, ROOT, floors
from notebooks import as_page

DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(
    r"(?<![\w/.-])(?:tests|pannsdist|configs|benchmarks|launch|docs)/[\w./-]+\.(?:py|md|yaml|sh|png|svg)\b"
)
"""A file of this repository, as text names it."""
TYPES = r"`([A-Z][a-z]+[A-Za-z]*)`"


def markdown() -> list[Path]:
    folders = ("docs", "launch", "benchmarks", "plugins")
    inside = (path for folder in folders for path in (ROOT / folder).rglob("*.md"))
    return sorted([*ROOT.glob("*.md"), *inside])


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(page: str) -> str:
    """A page without its blocks of code, in which a link is no link."""
    return re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)


@cache
def prose(path: Path) -> str:
    """The text of a page without its blocks of code."""
    return without_code(path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """What GitHub calls the headings of a page: lower case, spaces as hyphens, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    return links_broken_in(prose(path), path)


def links_broken_in(page: str, path: Path) -> list[str]:
    """The relative links of a page, stored as `path`, that lead nowhere."""
    found = []
    for link in LINK.findall(without_code(page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("path", markdown(), ids=name_of)
def test_every_relative_link_and_image_resolves(path):
    assert broken_links(path) == []


def test_a_missing_file_and_a_missing_heading_are_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One, two\n[a](#one-two) [b](#three) ![c](no.png)\n```\n[d](e.md)\n```\n", encoding="utf-8")
    assert broken_links(page) == ["#three", "no.png"]


@pytest.mark.parametrize("path", markdown(), ids=name_of)
def test_every_file_that_a_page_names_exists(path):
    assert [name for name in NAMED.findall(prose(path)) if not (ROOT / name).exists()] == []


def test_every_page_that_code_or_a_settings_file_names_exists():
    sources = [*(ROOT / "pannsdist").rglob("*.py"), *(ROOT / "pannsdist").rglob("*.txt"), *ROOT.glob("configs/*.yaml")]
    gone = [
        f"{name_of(path)}: {name}"
        for path in sources
        for name in re.findall(r"\bdocs/[\w./-]+\.md\b", path.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    ]
    assert gone == []


@pytest.mark.parametrize("path", sorted([*DOCS.rglob("*.py"), *ROOT.glob("benchmarks/*.py")]), ids=name_of)
def test_what_a_figure_or_a_benchmark_imports_exists(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pannsdist"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


def test_both_languages_hold_the_same_pages_and_each_page_links_to_its_other_language():
    english, chinese = (sorted(path.name for path in (DOCS / language).iterdir()) for language in ("en", "zh"))
    assert english == chinese
    for name in english:
        for own, other in (("en", "zh"), ("zh", "en")):
            path = DOCS / own / name
            page = as_page(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
            first_lines = page.splitlines()[:3]
            assert f"](../{other}/{name})" in "".join(first_lines), f"docs/{own}/{name}"


def test_both_languages_put_every_room_on_the_same_floor():
    assert floors(PAGES["en"]) == floors(PAGES["zh"])


def test_the_picture_shows_every_room():
    drawn = re.findall(r">([\w.]+?)/?</text>", (DOCS / "images" / "architecture.svg").read_text(encoding="utf-8"))
    assert {room.removesuffix(".py") for room in drawn} >= {room for rooms in floors().values() for room in rooms}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_type_that_the_architecture_page_names_is_defined(language):
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "pannsdist").rglob("*.py")]
    defined = {name for text in sources for name in re.findall(r"^class (\w+)", text, re.MULTILINE)}
    named = set(re.findall(TYPES, PAGES[language].read_text(encoding="utf-8")))
    assert named and named <= defined, named - defined
