"""The same training through every door: are rows and verdict the same, and what does a trial cost beyond the training?

    python benchmarks/doors.py [--seeds 6] [--without script]

The five files are in examples/doors: a task file, a training function, a script, a LightningModule and a Trainer of Hugging Face. The
task file is what the others are compared with. CPU seconds are those of the trials' processes.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import tempfile
from pathlib import Path
from typing import Any

import actlab

DOORS = Path(__file__).resolve().parents[1] / "examples" / "doors"
NAMES = ("task_file", "function", "script", "lightning_function", "trainer_function")
ARMS = ("relu", "tanh")
TO_THE_BIT = ("status", "train_loss", "curve", "steps", "parameters")


def source(door: str) -> Any:
    """Return what is compared."""
    if door == "script":
        return actlab.Script(f"python {shlex.quote(str(DOORS / 'script.py'))} {{seed}}")
    return DOORS / f"{door}.py"


def study(door: str, seeds: int, folder: str) -> actlab.Study:
    """Run the study through one door, one trial at a time."""
    return actlab.compare(
        source(door), ARMS, seeds=seeds, jobs=1, name=door, store=f"{folder}/doors.db", progress=False, target="none"
    )


def by_key(rows: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the rows by arm and seed."""
    return {(row["arm"], row["seed"]): row for row in rows}


def main() -> None:
    """Run all doors and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--without", action="append", default=[], choices=NAMES[1:])
    options = parser.parse_args()
    studies = {}
    with tempfile.TemporaryDirectory() as folder:
        for door in NAMES:
            if door not in options.without:
                studies[door] = study(door, options.seeds, folder)
        reference, verdict = by_key(studies["task_file"].rows()), studies["task_file"].verdict()
        print(
            f"{'door':20} {'rows':>4}  {'equal to the bit':16}  {'metric differs by':17}  {'verdict':7}  {'CPU s per trial':15}"
        )
        for door, done in studies.items():
            rows = by_key(done.rows())
            equal = sum(all(rows[key][name] == reference[key][name] for name in TO_THE_BIT) for key in reference)
            apart = max(abs(rows[key]["metric"] - reference[key]["metric"]) for key in reference)
            answer = "same" if done.verdict().recommendation == verdict.recommendation else "OTHER"
            seconds = statistics.median(row["cpu_seconds"] for row in rows.values())
            exact = f"{equal} of {len(reference)}"
            print(f"{door:20} {len(rows):4}  {exact:16}  {apart:17.1e}  {answer:7}  {seconds:15.3f}")
    print(f"verdict: {verdict.recommendation}")


if __name__ == "__main__":
    main()
