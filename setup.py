"""Everything is declared in setup.cfg, except that a wheel gets a copy of `configs/` as its recipes."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

RECIPES = sorted(Path("configs").glob("*.yaml"))


class BuildWithRecipes(build_py):
    """Copies the settings files of `configs/` to where an installed pannsdist looks for them."""

    def run(self) -> None:
        """Build the package; an editable one reads `configs/` itself."""
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib, "pannsdist", "settings", "recipes")
            shutil.rmtree(folder, ignore_errors=True)  # of an earlier build
            folder.mkdir(parents=True)
            for path in RECIPES:
                shutil.copy(path, folder)


setup(cmdclass={"build_py": BuildWithRecipes})
