"""Folders, under PaddleHub's names; importing this module creates none of them."""

from pathlib import Path

from pannsdist.runtime.user_folder import home

HUB_HOME = str(home())
"""Root of all downloads: `PANNSDIST_HOME`."""
DATA_HOME = str(home() / "datasets")
"""Where `hub.datasets` expect a corpus."""
MODULE_HOME = str(Path(__file__).parent / "modules")
"""Contains `panns_cnn14/audioset_labels.txt`, the 527 AudioSet labels, one per line; part of the package."""
