"""With `IRONWORKS_TESTS_COMPILED` tests of the gateway use its native code, made below that home, and not its sources.

A plugin of pytest (`-p tests.support.compiled`), and imported by the programs that tests start.
"""

from __future__ import annotations

import os
from pathlib import Path

from ironworks.app.compiled import prefer_compiled

if (home := os.environ.get("IRONWORKS_TESTS_COMPILED")) and not prefer_compiled(Path(home)):
    raise RuntimeError(f"nothing is compiled of these sources below {home}")
