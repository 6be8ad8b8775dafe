"""`gateway_ours.py` with the gateway's hot modules compiled: `python bench/gateway_compiled.py HOME '{…}'`.

HOME is where `IRONWORKS_HOME=HOME python -m ironworks.app compile` put them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import uvloop

from ironworks.app.compiled import prefer_compiled


def main() -> None:
    if not prefer_compiled(Path(sys.argv[1])):
        raise SystemExit("nothing is compiled of these sources")
    from gateway_ours import main as serve

    uvloop.run(serve(json.loads(sys.argv[2])))


if __name__ == "__main__":
    main()
