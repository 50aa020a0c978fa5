"""The image is fitted by sines and by Fourier features, and its PSNR is that of the formula."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.physics.image import neighbour_psnr, psnr
from actlab.tasks.task import load_data


def test_each_pixel_is_in_one_split_with_its_coordinates_and_gray_level():
    data = load_data(resolve("image:siren"), 4)
    x = torch.cat([split.x for split in data.splits.values()]).double().numpy()
    y = torch.cat([split.y for split in data.splits.values()]).double().numpy()
    rows, columns = (np.rint((x[:, axis] + 1) * 64 - 0.5).astype(int) for axis in (0, 1))

    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) == 128**2
    assert np.abs((y + 1) * 127.5 - extract("image")["pixels"][rows, columns]).max() < 1e-3


def test_psnr_is_10_log10_of_the_squared_range_over_the_squared_error():
    output, target = torch.tensor([0.5, -0.5, 0.0]), torch.tensor([0.4, -0.6, 0.1])

    assert psnr(output, target) == pytest.approx(10 * np.log10(2.0**2 / 0.01), abs=1e-4)


def test_neighbours_are_a_better_guess_than_the_mean():
    y = torch.from_numpy(extract("image")["pixels"].astype(np.float32)).flatten() / 127.5 - 1

    assert psnr(y.mean().expand_as(y), y) == pytest.approx(10.5, abs=0.1)
    assert neighbour_psnr(0) == pytest.approx(23.06, abs=0.05)


def test_the_sine_net_has_the_initial_distribution_of_its_paper():
    torch.manual_seed(0)
    model, x = resolve("image:siren").model(0), load_data(resolve("image:siren"), 0).train.x
    with torch.no_grad():
        outputs = [30 * model[0].weight @ x.T]
        outputs.append(30 * model[2].weight @ torch.sin(outputs[0] + 30 * model[0].bias[:, None]))
        outputs.append(30 * model[4].weight @ torch.sin(outputs[1] + 30 * model[2].bias[:, None]))

    # arXiv:2006.09661, theorem 1.8: standard normal before each later sine, apart from the bias.
    assert [float(output.std()) for output in outputs[1:]] == pytest.approx([1, 1], abs=0.1)


@pytest.mark.parametrize(("task", "arm"), [("image:siren", "sine"), ("image:siren", "gelu"), ("image:fourier", "sine")])
def test_arms_with_sines_train(task, arm):
    trial = run_trial(replace(resolve(task), steps=5), parse_arm(arm), seed=0)

    assert trial.status == "completed"
    assert trial.metric > 0
