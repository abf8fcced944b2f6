"""What the site is made of: where each file of the repository stands on it, and its links rewritten to that.

On GitHub a page links to files beside `docs/`; on the site those that are pages too are copied to it, and a link to any
other file keeps its text alone. The pages are written into a folder with one sub-folder for each language.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("en", "zh")
BESIDE = {
    "en": {
        "README.md": "index.md",
        "plugins/README.md": "plugins/index.md",
        "benchmarks/README.md": "benchmarks.md",
        "launch/README.md": "launch.md",
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
    },
    "zh": {"README_cn.md": "index.md", "plugins/README_cn.md": "plugins/index.md"},
}
"""Pages that do not lie in `docs/`, and their place on the site. What has no Chinese page is shown in English."""
FENCES = re.compile(r"^(```.*?^```[ ]*$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
SWITCH = re.compile(r"\A(# .*\n\n)\[(?:中文|English)\]\([^)]*\)\n\n?")
"""The line that leads to the other language, for which the site has a button."""


@dataclass(frozen=True)
class Edition:
    """The site in one language: `places` by path in the repository, and the file that is `shown` at each place.

    Pages that have no Chinese text are in both editions; files of the other language have the place of their twin.
    """

    language: str
    places: dict[str, str]
    shown: dict[str, str]


def edition(language: str) -> Edition:
    """The site in a language, with its pages below `language/` and its images in `images/`."""
    places, shown = {"docs/decisions": f"{language}/decisions/index.md"}, {}
    for one in ("en", "zh"):
        for name, place in _pages_in(one).items():
            places[name] = f"{language}/{place}"
            if one in ("en", language):
                shown[places[name]] = name
    for path in [*ROOT.glob("docs/images/*"), *ROOT.glob("benchmarks/results/*.svg")]:
        places[_name(path)] = f"images/{path.name}"
    return Edition(language, places, shown)


def _pages_in(language: str) -> dict[str, str]:
    found = {name: place for name, place in BESIDE[language].items() if (ROOT / name).is_file()}
    for path in sorted((ROOT / "docs" / language).iterdir()):
        found[_name(path)] = "pages.md" if path.name == "README.md" else f"{path.stem}.md"
    readme = "README.md" if language == "en" else "README_cn.md"
    found |= {_name(path): f"plugins/{path.parent.name}.md" for path in ROOT.glob(f"plugins/pannsdist-*/{readme}")}
    if language == "en":
        found |= {_name(path): f"decisions/{path.name}" for path in ROOT.glob("docs/decisions/*.md")}
        found |= {_name(path): f"benchmarks/{path.name}" for path in ROOT.glob("benchmarks/results/*.md")}
    return found


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def written() -> Iterator[tuple[str, str | bytes]]:
    """(place, content) of every page and image of the site that is not generated from the code."""
    for language in LANGUAGES:
        site = edition(language)
        for place, name in site.shown.items():
            yield place, converted(name, text_of(ROOT / name), site)
        yield f"{language}/gallery.md", gallery(site)
        yield f"{language}/decisions/index.md", decisions(language)
    yield "assets/site.css", Path(__file__).with_name("site.css").read_bytes()
    for name, place in site.places.items():
        if place.startswith("images/"):
            yield place, (ROOT / name).read_bytes()


def text_of(path: Path) -> str:
    """A page in Markdown; the cells of a notebook one after another."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = (("".join(cell["source"]), cell["cell_type"]) for cell in json.loads(text)["cells"])
    return "\n\n".join(f"```python\n{source}\n```" if kind == "code" else source for source, kind in cells) + "\n"


def converted(name: str, text: str, site: Edition) -> str:
    """The text of a file of the repository as a page of the site: without the link to its other language, links
    rewritten, and HTML elements with Markdown marked as such for Python-Markdown."""
    parts = FENCES.split(SWITCH.sub(r"\1", text))
    parts[::2] = [_links_rewritten(part, name, site).replace("<details>", "<details markdown>") for part in parts[::2]]
    return "".join(parts)


def _links_rewritten(text: str, name: str, site: Edition) -> str:
    own = PurePosixPath(site.places[name]).parent

    def rewritten(match: re.Match[str]) -> str:
        words, link = match.groups()
        file, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link) or not file:
            return match.group()
        target = os.path.normpath(PurePosixPath(name).parent / file)
        target = f"{target}/README.md" if f"{target}/README.md" in site.places else target
        if target not in site.places:
            # A file that is not on the site; what does not exist stays, for MkDocs to refuse.
            return words if (ROOT / target).exists() else match.group()
        anchor = f"#{_anchor_in(site, target, anchor)}" if anchor else ""
        return f"[{words}]({_between(own, site.places[target])}{anchor})"

    return LINK.sub(rewritten, text)


def _anchor_in(site: Edition, target: str, anchor: str) -> str:
    """The anchor of the same heading in the page that the site shows in place of `target`, its translation."""
    shown = site.shown[site.places[target]]
    here, there = anchors(text_of(ROOT / target)), anchors(text_of(ROOT / shown))
    return there[here.index(anchor)] if shown != target and anchor in here and len(here) == len(there) else anchor


def anchors(text: str) -> list[str]:
    """What GitHub calls the headings of a page, in their order; the setting `slugify` of mkdocs.yml does the same."""
    headings = re.findall(r"^#+ (.+)$", FENCES.sub("", text), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def _between(folder: PurePosixPath, place: str) -> str:
    return PurePosixPath(os.path.relpath(place, folder)).as_posix()


def decisions(language: str) -> str:
    """The list of all decisions."""
    title, about = {
        "en": ("Decisions", "What others may question, with its reasons: half a page each."),
        "zh": ("决策", "可能引起疑问的决定及其理由：每项半页，为英文。"),
    }[language]
    lines = [f"# {title}", "", about, ""]
    for path in sorted(ROOT.glob("docs/decisions/*.md")):
        heading = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"- [{heading.replace('. ', ' ', 1)}]({path.name})")
    return "\n".join(lines) + "\n"


def gallery(site: Edition) -> str:
    """Every figure of the documentation, under what its page says of it, with links to the pages that show it."""
    title, on = {"en": ("Figures", "Shown on"), "zh": ("图", "所在页面：")}[site.language]
    figures: dict[str, list[tuple[str, str]]] = {}
    for place, name in site.shown.items():
        for words, link in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", text_of(ROOT / name)):
            target = os.path.normpath(PurePosixPath(name).parent / link)
            if target in site.places:  # MkDocs refuses a page with a figure that is not there
                figures.setdefault(site.places[target], []).append((words, place))
    lines = [f"# {title}", ""]
    own = PurePosixPath(site.language)
    for image, uses in sorted(figures.items()):
        links = ", ".join(f"[{PurePosixPath(place).stem}]({_between(own, place)})" for _, place in uses)
        lines += [f"## {uses[0][0]}", "", f"![{uses[0][0]}]({_between(own, image)})", "", f"{on} {links}", ""]
    return "\n".join(lines)
