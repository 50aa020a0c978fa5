"""Descriptors: the same for what should not matter, different for what should."""

import numpy as np
import pytest
import torch

from actlab.evaluate.audit.neighbours.descriptors import DIMENSIONS, Descriptor, image_descriptor


def picture(size=28):
    inner = torch.rand(size // 2, size // 2, generator=torch.Generator().manual_seed(0))
    x = torch.zeros(1, size, size)
    x[:, size // 4 : size // 4 + size // 2, size // 4 : size // 4 + size // 2] = inner
    return x


CHANGES = {
    "brighter": lambda x: x + 0.4,
    "more contrast": lambda x: 3.0 * x,
    "darker and flatter": lambda x: 0.2 * x - 0.1,
    "shifted": lambda x: x.roll((2, -3), (1, 2)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_brightness_contrast_and_shift_do_not_matter(name):
    x = picture()

    difference = (image_descriptor(x) - image_descriptor(CHANGES[name](x))).norm()

    assert difference < 1e-4 * image_descriptor(x).norm()


def test_another_picture_is_far():
    x, other = picture(), picture().flip(1)

    assert (image_descriptor(x) - image_descriptor(other)).norm() > 0.1 * image_descriptor(x).norm()


def test_an_image_of_one_colour_has_no_descriptor_and_no_nan():
    assert not image_descriptor(torch.full((1, 8, 8), 0.3)).any()


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (3, 64, 48), (64, 48, 3), (4, 4)])
def test_images_of_any_layout_have_at_most_64_numbers(shape):
    x = np.random.default_rng(0).random((5, *shape)).astype(np.float32)

    assert Descriptor("image", x)(x).shape[1] <= DIMENSIONS


def test_images_of_several_large_sizes_fit_together():
    first, other = (np.random.default_rng(0).random((2, 3, *size)).astype(np.float32) for size in ((64, 64), (80, 40)))

    assert Descriptor("image", first)(other).shape == (2, DIMENSIONS)


def test_columns_of_any_scale_count_alike():
    random = np.random.default_rng(0)
    rows = random.normal(size=(500, 3)) * (1e-6, 1.0, 1e9)

    points = Descriptor("table", rows)(rows)

    assert np.allclose(points.std(0), 1, atol=0.1)


def test_rounded_values_are_spread_over_their_step():
    rows = np.round(np.random.default_rng(0).normal(size=(500, 3)), 1)

    points = Descriptor("table", rows)(rows)

    assert len(np.unique(points[:, 0])) > 400


def test_columns_of_two_values_are_left_out():
    rows = np.random.default_rng(0).integers(0, 2, (200, 9))

    assert "different values" in str(Descriptor("table", rows).why_not)


@pytest.mark.parametrize(("shape", "numbers"), [((28, 28), 784), ((3, 16, 16), 768)])
def test_images_that_are_stored_flat_have_the_descriptors_of_the_images(shape, numbers):
    x = np.random.default_rng(0).random((5, *shape)).astype(np.float32)

    assert np.array_equal(Descriptor("image", x.reshape(5, numbers))(x.reshape(5, numbers)), Descriptor("image", x)(x))


def test_rows_of_numbers_that_are_no_image_are_said_to_be_none():
    assert "rows of 780 numbers" in str(Descriptor("image", np.ones((5, 780))).why_not)
