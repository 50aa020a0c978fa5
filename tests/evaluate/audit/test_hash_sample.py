"""Samples by hash: bounded, and equal keys together."""

import numpy as np

from actlab.evaluate.audit.hash_sample import HashSample, mixed


def test_the_number_of_records_is_bounded_and_the_share_is_told():
    sample = HashSample(1000, "index")
    for start in range(0, 100_000, 5000):
        index = np.arange(start, start + 5000)
        sample.add(mixed(index), index=index)
        assert len(sample) <= 1000

    assert len(sample) / sample.share == np.clip(len(sample) / sample.share, 80_000, 120_000)
    assert (sample.column("key") == mixed(sample.column("index"))).all()


def test_equal_keys_stay_together():
    sample = HashSample(500, "split")
    keys = mixed(np.arange(5000))
    for split in (0, 1):
        sample.add(keys, split=np.full(5000, split))

    kept = [set(sample.column("key")[sample.column("split") == split].tolist()) for split in (0, 1)]

    assert kept[0] == kept[1]


def test_an_empty_sample_has_empty_columns():
    assert len(HashSample(10, "index").column("index")) == 0
