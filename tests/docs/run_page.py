"""Run the blocks of a page one after another in this process: steps as JSON on stdin, what they printed as JSON on stdout."""

import contextlib
import functools
import io
import json
import linecache
import sys
import traceback
from pathlib import Path

import actlab
from actlab.cli import app

sys.path.insert(0, "")  # files that a page writes can be imported, as beside a script

# One worker, in this process: the page says nothing of it, and every further process would load torch anew.
actlab.compare = functools.partial(actlab.compare, jobs=1)


def run_python(step: dict, namespace: dict) -> str | None:
    """Run a block, and return its traceback if it raises."""
    name, text = f"<line {step['line']}>", step["text"]
    linecache.cache[name] = (
        len(text),
        None,
        text.splitlines(keepends=True),
        name,
    )  # so that the source of classes is found
    try:
        exec(compile(text, name, "exec"), namespace)  # noqa: S102 the project's own pages
    except Exception:
        return traceback.format_exc()
    return None


def run_command(words: list[str]) -> int:
    """Run a command of the command line, and return its exit code."""
    alone = ["--jobs", "1"] if words[0] == "compare" and "--jobs" not in words else []
    try:
        app([*words, *alone], prog_name="actlab")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def main() -> None:
    """Run all steps; stop at the first one that raises."""
    results, namespace = [], {"__name__": "__main__"}
    for step in json.load(sys.stdin):
        printed, result = io.StringIO(), {}
        with contextlib.redirect_stdout(printed):
            if "file" in step:
                Path(step["file"]).write_text(step["text"], encoding="utf-8")
            elif "commands" in step:
                result = {"exits": [run_command(words) for words in step["commands"]]}
            else:
                result = {"error": run_python(step, namespace)}
        results.append(result | {"printed": printed.getvalue()})
        if result.get("error"):
            break
    sys.stdout.write(json.dumps(results))


main()
