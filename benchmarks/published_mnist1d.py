"""Reproduction of the published MNIST-1D activation experiment on 20 seeds.

Greydanus & Kobak (ICML 2024, arXiv:2011.14439) published one seed, on a GPU, for six functions: the mean of the 301 training
losses. Our means must be within three standard deviations over seeds of each, and in the same order; leaky_relu and relu must
be a tie, and gelu must be better than relu.

    python benchmarks/published_mnist1d.py [--seeds 20] [--jobs N] [--store FILE]

About 160 trials of 0.35 s. The exit code is 0 if all checks pass, else 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import actlab
from actlab.studies.verdict.verdict import Verdict

PUBLISHED = {"relu": 1.3369, "silu": 1.3675, "elu": 1.4737, "tanh": 1.5243, "softplus": 1.6467, "sigmoid": 1.7532}
OTHERS = ("leaky_relu", "gelu")


def main() -> int:
    """Run the study and print the table; return the exit code."""
    options = _options()
    begin = time.perf_counter()
    study = actlab.compare(
        "mnist1d",
        ["relu", *OTHERS, *(name for name in PUBLISHED if name != "relu")],
        seeds=options.seeds,
        jobs=options.jobs,
        store=options.store or Path(tempfile.mkdtemp()) / "published.db",
        eliminate=False,
    )
    verdict = study.verdict()
    print(
        f"{len(study.rows())} trials in {time.perf_counter() - begin:.1f} s, fingerprint {verdict.fingerprint[:12]}\n"
    )
    passed = [*_check_means(verdict), *_check_relations(verdict)]
    print(f"\n{verdict.recommendation}\n\n{sum(passed)} of {len(passed)} hold")
    return 0 if all(passed) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--store", default=None)
    return parser.parse_args()


def _check_means(verdict: Verdict) -> list[bool]:
    """Print the table; return for each published number whether our mean is within three standard deviations."""
    print(f"{'function':<12} {'mean':>8} {'SD':>8} {'published':>10} {'in SDs':>7}")
    within = []
    for arm in sorted(verdict.arms, key=lambda arm: arm.mean or 0.0):
        assert arm.mean is not None
        assert arm.sd is not None
        published = PUBLISHED.get(arm.spec)
        line = f"{arm.spec:<12} {arm.mean:8.4f} {arm.sd:8.4f}"
        if published is None:
            print(f"{line} {'-':>10} {'-':>7}")
            continue
        distance = (arm.mean - published) / arm.sd
        within.append(abs(distance) <= 3)
        print(f"{line} {published:10.4f} {distance:+7.2f}")
    return within


def _check_relations(verdict: Verdict) -> list[bool]:
    """Print the other checks; return whether each passes."""
    arms = {arm.spec: arm for arm in verdict.arms}
    means = [arms[name].mean for name in PUBLISHED]
    tie = next((tie for tie in verdict.ties if set(tie.arms) == {"relu", "leaky_relu"}), None)
    gelu = arms["gelu"].diff
    assert gelu is not None
    checks = {
        f"the order is the published one: {' < '.join(PUBLISHED)}": means
        == sorted(means, key=lambda mean: mean or 0.0),
        f"leaky_relu and relu are a tie: {'no tie' if tie is None else tie.kind}": tie is not None,
        f"gelu is better than relu: {gelu.mean:+.4f}, corrected p {gelu.p_corrected:.2g}": gelu.mean < 0
        and gelu.p_corrected < 0.05,
    }
    print()
    for check, passes in checks.items():
        print(f"{'yes' if passes else 'NO '}  {check}")
    return list(checks.values())


if __name__ == "__main__":
    sys.exit(main())
