"""The blocks of code of every page: each command of a shell by itself, everything else block by block.

A block in no language, or in `sh`, holds commands; `console` holds a terminal with `$ ` before each command; `text`
holds what is printed or drawn.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "launch", "benchmarks", "plugins")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("", "sh", "console")
COMMENT = re.compile(r"(?:^|\s+)# .*$", re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """A command, without its comment, or a whole block in another language. `page` is relative to the project."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.text.splitlines()[0]}"


def pages() -> list[Path]:
    """Every page in English; the Chinese ones have the same code, as tests/house/test_translation.py checks."""
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))
    everything = sorted([*ROOT.glob("*.md"), *inside], key=lambda path: (path.name != "README.md", str(path)))
    return [path for path in everything if not path.stem.endswith("_cn") and "zh" not in path.parts]


def all_snippets() -> list[Snippet]:
    """Those of all pages, the README's first."""
    return [
        snippet
        for path in pages()
        for snippet in snippets(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    ]


def snippets(page: str, text: str) -> list[Snippet]:
    """Those of one page in their order."""
    found = []
    for match in FENCE.finditer(text):
        language, body = match.groups()
        first = text.count("\n", 0, match.start(2)) + 1
        if language not in SHELL or "<<" in body:
            found += [Snippet(page, first, language, body)] if language != "text" else []
        else:
            found += commands(page, first, language, body)
    return found


def commands(page: str, first: int, language: str, body: str) -> list[Snippet]:
    """The commands of a block; a line that ends with a backslash goes on in the next."""
    found = []
    for match in re.finditer(r"(?:.*\\\n)*.*", body):
        text = re.sub(r"\\\n\s*", "", COMMENT.sub("", match.group())).strip()
        if language == "console":
            text = text.removeprefix("$ ") if text.startswith("$ ") else ""
        if text:
            found.append(Snippet(page, first + body.count("\n", 0, match.start()), language, text))
    return found
