"""Commands that a new user types in the first hour, run in an empty folder and printed with what they answer.

    python benchmarks/first_hour.py

Prints Markdown for docs/evidence/first_hour.md. Times are CPU seconds of a command and the processes that it starts.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LONGEST = 24  # lines shown of an output
SE_MODEL = '''\
import torch
from torch import nn


class Net(nn.Module):
    """A convolution with squeeze-excitation: silu, and in the block a relu and a sigmoid gate."""

    def __init__(self):
        super().__init__()
        self.conv, self.act, self.head = nn.Conv2d(1, 16, 3), nn.SiLU(), nn.Linear(16, 10)
        self.down, self.relu, self.up, self.gate = nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 16), nn.Sigmoid()

    def forward(self, x):
        x = self.act(self.conv(x.view(-1, 1, 8, 8)))
        gates = self.gate(self.up(self.relu(self.down(x.mean((2, 3))))))
        return self.head((x * gates[:, :, None, None]).mean((2, 3)))


def model(seed=0):
    return Net()


example_inputs = torch.randn(32, 64)
'''
SE_TASK = """\
from sklearn.datasets import load_digits
from torch import nn

from se_model import model

loss = nn.functional.cross_entropy
direction = "max"


def data(seed):
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    return (x[:1000], y[:1000]), (x[1000:], y[1000:])


def metric(output, target):
    return (output.argmax(1) == target).float().mean().item()
"""
OWN_ACTIVATION = '''\
from actlab import activation
from actlab.functions.formula import sigmoid


@activation
def my_gate(x, k=2.0):
    """Gates its input by a steep sigmoid."""
    return x * sigmoid(k * x)
'''
COMMANDS = (
    ("README: the first example", "python first.py"),
    ("README: one's own task", "actlab compare my_task.py relu gelu tanh --seeds 6"),
    ("The page of it", "actlab report"),
    ("What is in the store", "actlab studies"),
    ("A typing error in a name", "actlab compare my_task.py rleu gelu"),
    ("A typing error in the file's name", "actlab compare my_tsk.py relu gelu"),
    ("A comma between names", "actlab compare my_task.py relu,gelu"),
    ("The name that torch uses", "actlab compare my_task.py nn.GELU relu"),
    ("A time with a space", "actlab compare my_task.py relu gelu --budget 10 min"),
    ("A setting with a typing error in the file", "actlab compare typo.py relu gelu"),
    ("A path with a space", "actlab compare 'my tasks/a task.py' relu gelu --seeds 1 --budget 10m"),
    ("Which tasks there are", "actlab tasks | grep mnist1d"),
    ("Which functions have gelu in their names", "actlab list | grep gelu"),
    ("Which activation runs where", "actlab sites se_model.py"),
    ("What others would cost there, without training", "actlab cost se_model.py relu gelu"),
    ("What an arm would swap in a model with gates", "actlab compare se_task.py relu gelu --dry-run"),
    ("A function of one's own", "actlab compare my_task.py my_gate relu --import my_act.py --seeds 6 --trial-limit 30"),
    ("A table of several studies", "actlab report $(actlab studies | grep -o '^[md][a-z_]*-[0-9a-f]*') --out x.csv; cut -d, -f1,5,8 x.csv"),
    ("JSON for a program", "actlab compare my_task.py relu gelu tanh --seeds 6 --json | python -m json.tool | head -8"),
    ("Ctrl-C after five seconds, and the same again", "timeout --signal=INT 5 {compare}; {compare} | head -3"),
)  # fmt: skip


def write_files(folder: Path) -> None:
    """Write the files that the commands read; those of the README are taken from it."""
    first, task = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[:2]
    (folder / "my tasks").mkdir()
    (folder / "bin").mkdir()
    files = {"first.py": first, "my_task.py": task, "my tasks/a task.py": task, "typo.py": f"{task}\n\nepoch = 3\n"}
    files |= {"se_model.py": SE_MODEL, "se_task.py": SE_TASK, "my_act.py": OWN_ACTIVATION}
    files |= {
        f"bin/{name}": f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n'
        for name, words in (("actlab", " -m actlab"), ("python", ""))
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    for script in (folder / "bin").iterdir():
        script.chmod(0o755)


def answer(command: str, folder: Path) -> str:
    """Return what a command prints, its exit code and its CPU time, as a block of Markdown."""
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    environment |= {} if "|" in command else {"COLUMNS": "80"}  # which a shell does not hand to the commands of a pipe
    environment.pop("ACTLAB_STORE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = ["bash", "-c", command]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 # commands above
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = [line.rstrip() for line in (done.stderr + done.stdout).replace(str(folder), "~/project").splitlines()]
    more = len(lines) - LONGEST
    shown = "\n".join([*lines[:LONGEST], *([f"... {more} more lines"] if more > 0 else [])])
    return f"```text\n$ {command}\n{shown}\n```\n\nExit code {done.returncode}, {seconds:.1f} s of CPU."


def main() -> None:
    """Run the commands in turn."""
    compare = "actlab compare digits relu gelu silu tanh elu mish --seeds 5"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_files(folder)
        for number, (what, command) in enumerate(COMMANDS, 1):
            print(f"## {number}. {what}\n\n{answer(command.replace('{compare}', compare), folder)}\n", flush=True)


if __name__ == "__main__":
    main()
