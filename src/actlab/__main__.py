"""``python -m actlab`` is the command ``actlab``."""

from actlab.cli import main

if __name__ == "__main__":
    main()
