"""Compare generated with real volumes: ``python benchmarks/compare.py gen.tif real.tif``.

A door to `metrics.command.comparing`, which needs the installed packages alone.
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":
    # As in `slicegan.__main__`: an import that Ctrl-C interrupts would leave a traceback.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from metrics.command.comparing import main

    signal.signal(signal.SIGINT, before)
    sys.exit(main())
