"""Usable CPU cores of this process."""

import os

import pytest

from actlab.system.cores import available


def test_without_a_limit_the_affinity_counts(tmp_path):
    assert available(tmp_path) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("limit", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)])
def test_a_quota_counts_rounded_up(tmp_path, limit, cores):
    (tmp_path / "cpu.max").write_text(limit)

    assert available(tmp_path) == (cores or len(os.sched_getaffinity(0)))


def test_the_older_interface_counts_too(tmp_path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("100000")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")

    assert available(tmp_path) == 1
