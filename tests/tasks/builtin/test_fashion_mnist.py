"""Idx files are read plain or gzipped, and every damage is reported with the file's name."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from actlab.errors import TaskError
from actlab.tasks import resolve
from actlab.tasks.builtin.fashion_mnist import FOLDER_VARIABLE, read_idx
from actlab.tasks.task import load_data

IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(12))
INSTALLED = Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz").exists()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
def test_an_idx_file_is_read_plain_or_gzipped(tmp_path, packed):
    file = tmp_path / "images"
    file.write_bytes(gzip.compress(IMAGES) if packed else IMAGES)

    assert np.arange(12).reshape(2, 2, 3).tolist() == read_idx(file).tolist()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (IMAGES[:-1], "has 27 bytes where its header asks for 28"),
        (IMAGES + b"x", "has 29 bytes where its header asks for 28"),
        (IMAGES[:7], "cut short: its header needs 16 bytes"),
        (b"\x7fELF" + IMAGES, "starts with 7f 45 4c 46, expected 00 00 08"),
        (IMAGES[:2] + b"\x0d" + IMAGES[3:], "no idx file of unsigned bytes"),
        (b"", "no idx file"),
        (gzip.compress(IMAGES, mtime=0)[:-6], "is damaged"),
    ],
    ids=["short", "long", "no-header", "other-file", "other-type", "empty", "damaged"],
)
def test_a_file_that_is_wrong_is_refused_with_its_name_and_the_reason(tmp_path, content, said):
    file = tmp_path / "images"
    file.write_bytes(content)

    with pytest.raises(TaskError, match=said) as caught:
        read_idx(file)

    assert str(file) in str(caught.value)


def test_a_missing_folder_names_the_package_and_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "nowhere"))

    with pytest.raises(TaskError, match="apt install dataset-fashion-mnist") as caught:
        load_data(resolve("fashion-mnist"), 0)

    assert FOLDER_VARIABLE in str(caught.value)


def test_files_that_do_not_belong_together_are_refused(tmp_path, monkeypatch):
    labels = bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3])
    for name in ("train", "t10k"):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(IMAGES)
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(labels)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))

    with pytest.raises(TaskError, match="do not belong together"):
        load_data(resolve("fashion-mnist"), 0)


@pytest.mark.skipif(not INSTALLED, reason="needs Debian's dataset-fashion-mnist")
def test_the_training_images_are_split_55000_to_5000_and_the_test_images_stay():
    task = resolve("fashion-mnist")

    one, other = load_data(task, 1), load_data(task, 2)

    assert [len(one.train), len(one.validation), len(one.test)] == [55_000, 5_000, 10_000]
    assert torch.equal(one.test.x, other.test.x)
    assert not torch.equal(one.validation.x, other.validation.x)
    assert one.train.x.shape[1:] == (1, 28, 28)


def test_lenet_5_has_its_61706_parameters():
    assert sum(weight.numel() for weight in resolve("fashion-mnist").model(0).parameters()) == 61_706


def test_the_net_of_the_gelu_paper_starts_with_incoming_vectors_of_norm_1_and_no_bias():
    linears = [layer for layer in resolve("fashion-mnist:mlp").model(0) if isinstance(layer, torch.nn.Linear)]

    assert [784, *[128] * 8] == [layer.in_features for layer in linears]
    for layer in linears:
        assert torch.allclose(layer.weight.norm(dim=1), torch.ones(layer.out_features))
        assert not layer.bias.any()
