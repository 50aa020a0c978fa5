"""Run the command line with ``python -m actlab``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # As for the command `actlab`: a copy.py in this folder must not be imported in place of Python's own.
    if not sys.flags.safe_path and sys.path[0] == str(Path.cwd()):
        del sys.path[0]
    from actlab.cli import main

    main()
