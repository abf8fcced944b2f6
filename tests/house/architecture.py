"""The rooms of the package and their floors, as docs/en/architecture.md lists them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {language: ROOT / "docs" / language / "architecture.md" for language in ("en", "zh")}
ROW = re.compile(r"^\| (\d+) \| `([\w.]+?)/?` \| [^|]+ \|$", re.MULTILINE)


def floors(page: Path = PAGES["en"]) -> dict[int, tuple[str, ...]]:
    """The rooms of each floor, in the order of the page's table: a folder, or a module without its `.py`."""
    rows = ROW.findall(page.read_text(encoding="utf-8"))
    assert rows, f"{page} has no row `| floor | room | what it is |`"
    found: dict[int, tuple[str, ...]] = {}
    for floor, room in rows:
        found[int(floor)] = (*found.get(int(floor), ()), room.removesuffix(".py"))
    return found
