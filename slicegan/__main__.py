"""``python -m slicegan``."""

import sys

from slicegan.cli import main

sys.exit(main())
