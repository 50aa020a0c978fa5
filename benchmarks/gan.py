"""Study of activations and gradient rules in the discriminator of a GAN on Fashion-MNIST.

    python benchmarks/gan.py [--seeds 6] [--measure frechet|precision|recall] [--store FILE] [--steps N]

The generator keeps relu. The baseline is leaky_relu(0.2), what arXiv:1511.06434 puts into discriminators. A trial has 3,130 steps.
The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

import torch
from rich.console import Console

import actlab
from actlab.report.terminal.verdict import verdict_table
from actlab.tasks.builtin.gan import arm, make

DISCRIMINATORS = ("leaky_relu(0.2)", "relu", "relu/1", "relu/jam", "leaky_relu(0.2)/jam", "step/rect", "sign/clipped")


def main() -> int:
    """Run the study and print its verdict."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--measure", default="frechet", choices=("frechet", "precision", "recall"))
    parser.add_argument("--store", default="gan.db")
    parser.add_argument("--steps", type=int, default=None)
    options = parser.parse_args()
    task = replace(make(options.measure), steps=options.steps)
    arms = [arm(generator="relu", discriminator=spec) for spec in DISCRIMINATORS]
    study = actlab.compare(
        task, arms, baseline=arms[0], seeds=options.seeds, jobs=1, store=options.store, eliminate=False
    )
    Console().print(verdict_table(study.verdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
