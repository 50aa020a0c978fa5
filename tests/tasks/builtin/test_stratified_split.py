"""The digits and their splits are those of scikit-learn, to the bit."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from actlab.tasks.builtin.stratified_split import digit_images, stratified_split


def test_the_images_are_those_of_the_library():
    pixels, labels = load_digits(return_X_y=True)
    ours = digit_images()

    assert np.array_equal(ours[0], pixels)
    assert np.array_equal(ours[1], labels)
    assert (ours[0].dtype, ours[1].dtype) == (pixels.dtype, labels.dtype)


@pytest.mark.parametrize("seed", [*range(40), 1_000_000, 1_000_001])
def test_the_splits_are_those_of_the_library(seed):
    labels = load_digits(return_X_y=True)[1]
    few = np.random.default_rng(seed).integers(0, 3, 40)
    for classes, held_out in ((labels, 360), (labels[:1437], 360), (few, 7)):
        rest, test = train_test_split(np.arange(len(classes)), test_size=held_out, stratify=classes, random_state=seed)
        ours = stratified_split(classes, held_out, seed)
        assert np.array_equal(ours[0], rest)
        assert np.array_equal(ours[1], test)


def test_the_library_is_not_imported():
    code = "import sys; from actlab.tasks import resolve; resolve('digits').data(0); print('sklearn' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
