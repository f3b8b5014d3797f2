"""Runs scripts of this folder one after another: loading PyTorch takes longer than most of them.

    worker.py    each line of standard input: a script and its arguments, a JSON list of strings

Behind what a script prints stands a line `done`; a script that fails ends the process.
"""

import json
import runpy
import sys
from pathlib import Path

for line in sys.stdin:
    sys.argv = json.loads(line)
    runpy.run_path(str(Path(__file__).with_name(sys.argv[0])), run_name="__main__")
    print("done", flush=True)
