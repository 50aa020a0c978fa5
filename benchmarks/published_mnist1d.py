"""The published table of the MNIST-1D activation experiment, run again on 20 seeds.

Greydanus & Kobak (ICML 2024, arXiv:2011.14439) printed one seed, on a GPU, for six functions: the mean of the 301 training
losses. Ours must be within three standard deviations over seeds of each, and in that order; leaky_relu and relu must come out
as a tie, and gelu as better than relu.

    python benchmarks/published_mnist1d.py [--seeds 20] [--jobs N] [--store FILE]

About 160 trials of 0.35 s. Exit code 0 when all of it holds, 1 otherwise.
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
FURTHER = ("leaky_relu", "gelu")


def main() -> int:
    """Run the study and print the table; return the exit code."""
    options = _options()
    begin = time.perf_counter()
    study = actlab.compare(
        "mnist1d",
        ["relu", *FURTHER, *(name for name in PUBLISHED if name != "relu")],
        seeds=options.seeds,
        jobs=options.jobs,
        store=options.store or Path(tempfile.mkdtemp()) / "published.db",
        eliminate=False,
    )
    verdict = study.verdict()
    print(
        f"{len(study.rows())} trials in {time.perf_counter() - begin:.1f} s, fingerprint {verdict.fingerprint[:12]}\n"
    )
    held = [*_table(verdict), *_claims(verdict)]
    print(f"\n{verdict.recommendation}\n\n{sum(held)} of {len(held)} hold")
    return 0 if all(held) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--store", default=None)
    return parser.parse_args()


def _table(verdict: Verdict) -> list[bool]:
    """Print the table; return for each published number whether ours is within three standard deviations."""
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


def _claims(verdict: Verdict) -> list[bool]:
    """Print what else must hold; return whether each does."""
    arms = {arm.spec: arm for arm in verdict.arms}
    means = [arms[name].mean for name in PUBLISHED]
    tie = next((tie for tie in verdict.ties if set(tie.arms) == {"relu", "leaky_relu"}), None)
    gelu = arms["gelu"].diff
    assert gelu is not None
    claims = {
        f"the order is the published one: {' < '.join(PUBLISHED)}": means
        == sorted(means, key=lambda mean: mean or 0.0),
        f"leaky_relu and relu are a tie: {'no tie' if tie is None else tie.kind}": tie is not None,
        f"gelu is better than relu: {gelu.mean:+.4f}, corrected p {gelu.p_corrected:.2g}": gelu.mean < 0
        and gelu.p_corrected < 0.05,
    }
    print()
    for claim, holds in claims.items():
        print(f"{'yes' if holds else 'NO '}  {claim}")
    return list(claims.values())


if __name__ == "__main__":
    sys.exit(main())
