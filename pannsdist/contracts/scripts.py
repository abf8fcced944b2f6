"""For a plugin's module that is also a script, `python -m MODULE`: arguments, messages and exit codes of a command."""

from pannsdist.runtime.console import exit_code
from pannsdist.runtime.streams import ArgumentParser

__all__ = ["ArgumentParser", "exit_code"]
