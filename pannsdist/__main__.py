"""`python -m pannsdist` is the command `pannsdist`."""

import sys

from pannsdist.cli import main

sys.exit(main())
