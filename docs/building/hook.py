"""A hook of MkDocs: writes the pages of the site into `build/docs` and has MkDocs read them there."""

from __future__ import annotations

import shutil
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from pages import ROOT, written
from reference import generated

STAGED = ROOT / "build" / "docs"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Once for a site; the plugin of languages configures again for each of them."""
    if Path(config.docs_dir) != STAGED:
        shutil.rmtree(STAGED, ignore_errors=True)
        for place, content in (*written(), *generated()):
            path = STAGED / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        config.docs_dir = str(STAGED)
    return config
