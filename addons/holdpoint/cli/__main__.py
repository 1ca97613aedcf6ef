"""`python -m holdpoint.cli`."""

import sys

from holdpoint.cli import main

sys.exit(main())
