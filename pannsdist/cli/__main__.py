"""`python -m pannsdist.cli` is the command `pannsdist`."""

import sys

from pannsdist.cli.command_line import main

sys.exit(main())
