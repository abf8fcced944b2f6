"""A hook of MkDocs: writes the pages of the site into `build/docs` and has MkDocs read them there."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import jieba
from mkdocs.config.defaults import MkDocsConfig
from pages import ROOT, written
from reference import generated

STAGED = ROOT / "build" / "docs"

# The search of the theme cuts Chinese into words where jieba is installed, and says nothing where it is not.
jieba.setLogLevel(logging.WARNING)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Once for a site; the plugin of languages configures again for each of them."""
    if Path(config.docs_dir) != STAGED:
        shutil.rmtree(STAGED, ignore_errors=True)
        jieba.dt.tmp_dir = str(STAGED.parent)  # for the cache of its dictionary, in place of the shared /tmp
        for place, content in (*written(), *generated()):
            path = STAGED / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        config.docs_dir = str(STAGED)
    return config
