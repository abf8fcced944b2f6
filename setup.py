"""What setup.cfg cannot declare: the recipes that a wheel brings, and the README as a package index shows it."""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONFIGS = Path("configs")
RECIPES = sorted(CONFIGS.rglob("*.yaml"))
RELATIVE = r"\((?![a-z]+:|#)[^)\s]+\)"


class BuildWithRecipes(build_py):
    """Copies the settings files of `configs/` to where an installed pannsdist looks for them."""

    def run(self) -> None:
        """Build the package; an editable one reads `configs/` itself."""
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib, "pannsdist", "settings", "recipes")
            shutil.rmtree(folder, ignore_errors=True)  # of an earlier build
            for path in RECIPES:
                target = folder / path.relative_to(CONFIGS)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def long_description() -> str:
    """The README without relative images and links, since an index has no such files: the text of a link stays."""
    text = Path("README.md").read_text(encoding="utf-8")
    text = re.sub(rf"^!?\[[^\]]*\]{RELATIVE}\n+", "", text, flags=re.MULTILINE)  # a line of its own
    return re.sub(rf"\[([^\]]*)\]{RELATIVE}", r"\1", text)


setup(
    cmdclass={"build_py": BuildWithRecipes},
    long_description=long_description(),
    long_description_content_type="text/markdown",
)
