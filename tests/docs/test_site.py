"""The documentation site, built as `make docs` does: strict, in both languages, nothing from elsewhere."""

import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import chromium
import packing
import pytest
from snippets import ROOT, all_snippets
from static_files import static_files
from table import LEFT, SETTINGS, rows_for

import pannsdist
from pannsdist import contracts
from pannsdist.settings import describe
from pannsdist.settings.schema import Settings

GUIDES = sorted((ROOT / "docs" / "en").glob("*.md"))
NO_GUIDES = {
    "README.md": "a list of the pages",
    "architecture.md": "a reference: what is where in the code",
    "promises.md": "a reference: each line names its test",
}
TOOLS = ("jieba", "material", "mkdocs_static_i18n", "mkdocstrings")
MISSING = [name for name in TOOLS if importlib.util.find_spec(name) is None]
builds = pytest.mark.skipif(bool(MISSING), reason=f"without {', '.join(MISSING)}: pip install '.[docs]'")


class Found(HTMLParser):
    """The references and the anchors of a page: `links` of <a>, `loaded` by the browser itself, `ids`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.loaded, self.ids, self.language = [], [], set(), ""
        self.twins = {}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        has = dict(attrs)
        self.ids.update(value for name, value in attrs if name == "id" or (tag == "a" and name == "name"))
        self.language = has["lang"] if tag == "html" else self.language
        if tag == "a" and "hreflang" in has:
            self.twins[has["hreflang"]] = has["href"]
        if tag == "a":
            self.links += [has["href"]] if "href" in has else []
        elif tag != "link" or has.get("rel") not in ("alternate", "canonical", "prev", "next"):
            self.loaded += [has[name] for name in ("src", "href", "data", "poster") if has.get(name)]


def copied(folder: Path) -> Path:
    """A copy of the project, so that nothing is written into the checkout."""
    for name in packing.tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def build(project: Path) -> subprocess.CompletedProcess[str]:
    env = {**packing.clean_environment(), "PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1"}
    (recipe,) = re.findall(r"^docs: .*\n\t(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    command = recipe.replace(".venv/bin/python", sys.executable)
    return subprocess.run(command, shell=True, cwd=project, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    project = copied(tmp_path_factory.mktemp("site") / "project")
    done = build(project)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return project / "site"


@functools.cache
def pages_of(site: Path) -> dict[str, Found]:
    return {path.relative_to(site).as_posix(): Found(path) for path in site.rglob("*.html")}


def test_every_page_is_in_the_navigation():
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"[\w/]+\.md", config.partition("\nnav:\n")[2].partition("\nnot_in_nav:")[0]))
    named = {"pages.md" if path.name == "README.md" else f"{path.stem}.md" for path in (ROOT / "docs" / "en").iterdir()}
    assert named - listed == set(), "a page of docs/en gets its place under `nav` in mkdocs.yml"


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_no_guide_is_without_an_example_that_a_test_runs(path):
    if path.name in NO_GUIDES:
        pytest.skip(NO_GUIDES[path.name])
    blocks = [snippet for snippet in all_snippets() if snippet.page == f"docs/en/{path.name}"]
    assert [snippet for snippet in blocks if is_run(snippet)], f"{len(blocks)} blocks, and no test runs one of them"


def is_run(snippet) -> bool:
    """Whether tests/docs runs a block, or the reason why it does not names the test that does."""
    if snippet.language == SETTINGS:
        return True
    rows = rows_for(snippet)
    named = [re.search(r"tests/[\w/]+\.py", row.reason) for row in rows if row in LEFT]
    return bool(rows) and all(name and (ROOT / name.group()).is_file() for name in named)


@pytest.mark.slow
@builds
def test_every_page_is_there_in_both_languages_and_leads_to_its_other_one(site):
    pages = pages_of(site)
    english = {name for name in pages if not name.startswith("zh/") and name != "404.html"}
    assert {f"{'pages' if path.stem == 'README' else path.stem}.html" for path in GUIDES} < english
    assert {"index.html", "first_hour.html", "gallery.html", "decisions/index.html", "reference/api.html"} < english
    assert {f"zh/{name}" for name in english} == {name for name in pages if name.startswith("zh/")} - {"zh/404.html"}
    for name in english:
        for language, own, other in (("en", name, f"zh/{name}"), ("zh", f"zh/{name}", name)):
            assert pages[own].language == language, own
            twin = pages[own].twins["zh" if language == "en" else "en"]
            assert os.path.normpath(Path(own).parent / twin) == other, own


@pytest.mark.slow
@builds
def test_nothing_is_loaded_from_elsewhere(site):
    foreign = re.compile(r"(https?:)?//")
    for name, page in pages_of(site).items():
        assert page.loaded, name
        assert [link for link in page.loaded if foreign.match(link)] == [], name
    for path in site.rglob("*.css"):
        loaded = re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", path.read_text(encoding="utf-8"))
        assert [link for link in loaded if foreign.match(link)] == [], path


@pytest.mark.slow
@builds
def test_every_link_within_the_site_leads_to_a_file_and_a_heading(site):
    pages = pages_of(site)
    for name, page in pages.items():
        for link in {*page.links, *page.loaded} if not name.endswith("404.html") else ():
            parts = urlsplit(unquote(link))
            if parts.scheme or link.startswith("//"):
                continue
            target = os.path.normpath(Path(name).parent / parts.path) if parts.path else name
            target = target if not (site / target).is_dir() else f"{target}/index.html".removeprefix("./")
            assert (site / target).is_file(), f"{name}: {link}"
            known = parts.fragment in ("", "__skip", "__codelineno") or parts.fragment.startswith("__")
            assert known or parts.fragment in pages[target].ids, f"{name}: {link}"


@pytest.mark.slow
@builds
def test_the_reference_holds_every_name_command_and_key(site):
    texts = {name: (site / "reference" / f"{name}.html").read_text("utf-8") for name in ("api", "cli", "settings")}
    ids = {path: pages_of(site)[f"reference/{path}.html"].ids for path in ("api", "contracts", "cli")}
    assert {name.rpartition(".")[2] for name in ids["api"]} >= {*pannsdist.__all__, "Model", "predict"} - {
        "__version__"
    }
    assert ids["contracts"] >= {f"pannsdist.contracts.{name}" for name in contracts.__all__}
    assert "probability of an event" in texts["cli"] and {"pannsdist-detect", "pannsdist-plugins-new"} <= ids["cli"]
    assert [key for key, _, _ in describe(Settings) if f"<code>{key}</code>" not in texts["settings"]] == []
    chinese = (site / "zh" / "reference" / "settings.html").read_text("utf-8")
    assert "默认值" in chinese and "<code>train.epochs</code>" in chinese


@pytest.mark.slow
@builds
def test_a_page_is_markdown_for_python_as_it_is_for_github(site):
    for path in GUIDES:
        text = path.read_text(encoding="utf-8")
        name = "pages" if path.stem == "README" else path.stem
        html = (site / f"{name}.html").read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]
        rows = len(re.findall(r"^\|", text, re.MULTILINE)) - len(re.findall(r"^\|[-|:]+$", text, re.MULTILINE))
        assert html.count("<tr>") == rows, path.name
        assert html.count('class="highlight"') >= len(re.findall(r"^```", text, re.MULTILINE)) // 2, path.name
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        assert html.count("<li>") == len(re.findall(r"^(?:[-*]|\d+\.) ", prose, re.MULTILINE)), path.name


@pytest.mark.slow
@builds
def test_the_search_index_has_both_languages_and_chinese_words(site):
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    texts = {entry["location"]: entry["text"] for entry in index["docs"]}
    assert {"cache.html", "zh/cache.html", "reference/settings.html", "decisions/0001-floors.html"} < texts.keys()
    assert "混淆\u200b矩阵" in "".join(texts.values()), "jieba cuts Chinese into words"


@pytest.mark.slow
@builds
def test_a_broken_link_and_a_page_without_a_place_are_refused(tmp_path):
    project = copied(tmp_path / "project")
    for language in ("en", "zh"):
        with (project / "docs" / language / "cache.md").open("a", encoding="utf-8") as page:
            page.write("\n[a](nowhere.md) [b](sounds.md#no-such-heading) ![c](../images/none.png)\n")
        (project / "docs" / language / "homeless.md").write_text("# Homeless\n", encoding="utf-8")
    done = build(project)
    assert done.returncode == 1
    for named in ("nowhere.md", "#no-such-heading", "images/none.png", "homeless.md"):
        assert named in done.stderr


@pytest.mark.slow
@builds
@pytest.mark.skipif(chromium.BROWSER is None, reason="no chromium: apt-get install chromium")
def test_a_reader_searches_in_chinese_and_switches_the_language(site):
    api = pytest.importorskip("playwright.sync_api")
    with static_files(site) as address, api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium.BROWSER, args=chromium.FLAGS)
        page = browser.new_page(color_scheme="dark")
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/zh/cache.html")
        page.fill("[data-md-component=search-query]", "混淆矩阵")
        found = page.locator(".md-search-result__link").first
        found.wait_for()
        assert urlsplit(found.get_attribute("href")).path.endswith("/zh/tracking.html")
        page.goto(f"{address}/zh/tracking.html")
        assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"
        page.goto(f"{address}/{page.locator('a[hreflang=en]').first.get_attribute('href')}")
        assert page.url == f"{address}/tracking.html" and "Tracking" in page.title()
        browser.close()
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []
