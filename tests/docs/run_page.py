"""Run the blocks of pages, each page in a fork of this process, which has loaded torch and ActLab once.

A line of JSON on stdin asks for a page: its folder and its steps. What they printed is put into ``results.json`` in the folder, and a line
on stdout says with which exit code the fork has ended.
"""

import contextlib
import functools
import io
import json
import linecache
import os
import sys
import traceback
from pathlib import Path

import actlab
from actlab.cli import app


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


def run_page(steps: list[dict]) -> list[dict]:
    """Run all steps in the working folder; stop at the first one that raises."""
    results, namespace = [], {"__name__": "__main__"}
    for step in steps:
        printed, result = io.StringIO(), {}
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            if "file" in step:
                Path(step["file"]).write_text(step["text"], encoding="utf-8")
            elif "commands" in step:
                os.environ.update(step["environment"])
                result = {"exits": [run_command(words) for words in step["commands"]]}
            else:
                result = {"error": run_python(step, namespace)}
        results.append(result | {"printed": printed.getvalue()})
        if result.get("error"):
            break
    return results


def run_in_fork(folder: str, steps: list[dict]) -> int:
    """Run a page in a fork of this process, and return its exit code."""
    fork = os.fork()
    if fork:
        return os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
    status = 1
    try:
        os.chdir(folder)
        os.environ["ACTLAB_CACHE"] = str(Path(folder) / "cache")
        Path("results.json").write_text(json.dumps(run_page(steps)), encoding="utf-8")
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def main() -> None:
    """Answer requests until stdin ends."""
    sys.path.insert(0, "")  # files that a page writes can be imported, as beside a script
    # One worker, in this process: the page says nothing of it, and every further process would load torch anew.
    actlab.compare = functools.partial(actlab.compare, jobs=1)
    for name in actlab.__all__:
        getattr(actlab, name)
    actlab.facts("silu")  # loads the catalogue
    for request in sys.stdin:
        status = run_in_fork(**json.loads(request))
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
