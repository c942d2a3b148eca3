"""An engine as a process of its own, with the services of a pickle: `supervise_child.py WORKSPACE SPECS [--stop]`."""

from __future__ import annotations

import os
import pickle
import random
import sys
from pathlib import Path

from ghostd.base.clock import SystemClock
from ghostd.base.errors import Cannot
from ghostd.base.log import log_to_stderr
from ghostd.model.settings import Places
from ghostd.supervise.engine import Engine


def main() -> int:
    log_to_stderr()
    specs = {spec.name: spec for spec in pickle.loads(Path(sys.argv[2]).read_bytes())}
    places = Places(workspace=Path(sys.argv[1]))
    try:
        engine = Engine(places, specs, clock=SystemClock(), dice=random.Random(1), environ=os.environ)
        return engine.run(only_stop="--stop" in sys.argv)
    except Cannot as error:
        print(error.kind, error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
