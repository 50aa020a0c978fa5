"""Cost of ActLab's two lines in a script, without ActLab around it and in a trial.

    python benchmarks/script_overhead.py

Printed are the seconds that ``import actlab`` adds to an empty program (median of differences of neighbouring runs), the time of a call of
``apply_`` and ``report`` without ActLab around them, the CPU time of a script in a trial over that of the script alone (torch and a small
training in both), and the wall time that the supervisor adds to a program that does nothing.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from pathlib import Path

import actlab
from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks.scripts.process import CommandProcess

ROUNDS = 15
SCRIPT = """
import os
import torch
from torch import nn
{imports}
torch.manual_seed(int(os.environ.get("ACTLAB_SEED", 0)))
torch.set_num_threads(1)
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
{apply}
optimizer = torch.optim.Adam(model.parameters(), fused=True)
for step in range(1, 2001):
    loss = model(torch.randn(64, 64)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    {report}
"""


def cpu_seconds(command: list[str]) -> float:
    """Return user and system time of a command."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 # commands of this file
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def import_seconds() -> float:
    """Return the CPU seconds that the import adds."""
    pairs = [
        (
            cpu_seconds([sys.executable, "-c", "import actlab; actlab.apply_; actlab.report"]),
            cpu_seconds([sys.executable, "-c", ""]),
        )
        for _ in range(ROUNDS)
    ]
    return statistics.median(after - before for after, before in pairs)


def call_seconds() -> tuple[float, float]:
    """Return the seconds of a call of each line without ActLab around it."""
    count = 100_000
    apply = timeit.timeit(lambda: actlab.apply_("model"), number=count) / count
    return apply, timeit.timeit(lambda: actlab.report(step=1, loss=0.5), number=count) / count


def trial_ratios(rounds: int = 5) -> list[float]:
    """Return the CPU time of a script in a trial that reports every step over that of the plain script, for each round."""
    Path("plain.py").write_text(SCRIPT.format(imports="", apply="", report="pass"), encoding="utf-8")
    lines = {
        "imports": "import actlab",
        "apply": "actlab.apply_(model)",
        "report": "actlab.report(step=step, loss=loss, accuracy=0.5)",
    }
    Path("train.py").write_text(SCRIPT.format(**lines), encoding="utf-8")
    task = actlab.Script("python train.py").to_task()
    ratios = []
    for _ in range(rounds):
        plain = cpu_seconds([sys.executable, "plain.py"])
        ratios.append(run_trial(task, parse_arm("relu"), 0).cpu_seconds / plain)
    return ratios


def supervisor_seconds() -> float:
    """Return the wall seconds that the supervisor adds to a program that does nothing."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(["true"], check=True)  # noqa: S607 # wherever it is
        between = time.perf_counter()
        with CommandProcess(["true"], os.environ) as process:
            process.wait(60)
        found.append(time.perf_counter() - between - (between - began))
    return statistics.median(found)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        apply, report = call_seconds()
        print(f"import actlab: {1e3 * import_seconds():.0f} ms of CPU")
        print(f"without ActLab around them: apply_ {1e9 * apply:.0f} ns, report {1e9 * report:.0f} ns a call")
        print(f"supervisor: {1e3 * supervisor_seconds():.0f} ms")
        ratios = trial_ratios()
        print(
            f"a trial that reports each of 2,000 steps: {statistics.median(ratios):.2f} times the CPU time of the plain script"
        )
        print(f"  ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
