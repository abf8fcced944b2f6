"""Folders under the names that PaddleHub gives them; nothing is written there by importing this."""

from pathlib import Path

from pannsdist.weights.downloads import cache

HUB_HOME = str(cache.home())
"""Everything that is downloaded: `PANNSDIST_HOME`."""
DATA_HOME = str(cache.home() / "datasets")
"""Where `hub.datasets` look for a corpus."""
MODULE_HOME = str(Path(__file__).parent / "modules")
"""Holds `panns_cnn14/audioset_labels.txt`, AudioSet's 527 names by line; it is part of the package."""
