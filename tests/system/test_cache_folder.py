"""A cache folder that other users may write to is not used, and that is told once."""

import logging
import os
import subprocess
import sys

import pytest

from actlab.system import cache_folder
from actlab.system.cache_folder import kernel_folder, read_private

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX systems")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTLAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "kernels").mkdir(parents=True, mode=0o755)
    cache_folder._private.cache_clear()
    yield tmp_path / "cache"
    cache_folder._private.cache_clear()


def test_a_folder_of_ones_own_is_used(cache):
    assert kernel_folder() == cache / "kernels"


def test_a_folder_that_does_not_exist_yet_is_used(cache):
    (cache / "kernels").rmdir()

    assert kernel_folder() == cache / "kernels"


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757, 0o722])
@pytest.mark.parametrize("place", ["kernels", "."])
def test_a_folder_that_others_may_write_to_is_replaced_and_that_is_told_once(cache, place, mode, monkeypatch, caplog):
    monkeypatch.setattr(cache_folder, "_is_own_group", lambda _: False)
    (cache / place).chmod(mode)

    with caplog.at_level(logging.WARNING):
        first, second = kernel_folder(), kernel_folder()

    assert first == second
    assert not str(first).startswith(str(cache))
    assert len(caplog.records) == 1
    assert f"chmod go-w {cache / place}".rstrip("/.") in caplog.text


def test_a_folder_for_all_like_tmp_may_be_around_it_and_not_be_it(cache):
    cache.chmod(0o1777)
    assert kernel_folder() == cache / "kernels"

    cache_folder._private.cache_clear()
    (cache / "kernels").chmod(0o1777)
    assert kernel_folder() != cache / "kernels"


def test_a_link_is_followed_to_the_folder_that_is_used(cache):
    (cache / "kernels").rmdir()
    (cache / "open").mkdir()
    (cache / "open").chmod(0o777)
    (cache / "kernels").symlink_to(cache / "open")

    assert kernel_folder() != cache / "kernels"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give a folder away")
def test_a_folder_of_another_user_is_not_used(cache):
    os.chown(cache, 65534, 65534)

    assert kernel_folder() != cache / "kernels"


def test_a_file_that_others_may_write_to_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_folder, "_is_own_group", lambda _: False)
    file = tmp_path / "object.o"
    file.write_bytes(b"code")
    assert read_private(file) == b"code"

    file.chmod(0o666)
    assert read_private(file) is None
    assert read_private(tmp_path / "none") is None


def test_the_group_that_a_system_makes_for_every_user_is_no_other_user():
    assert cache_folder._is_own_group(os.getgid()) in (True, False)
    assert not cache_folder._is_own_group(2**31 - 2)


def test_kernels_are_compiled_where_the_cache_is_not_used(cache):
    (cache / "kernels").chmod(0o777)
    script = "import torch, actlab; print(float(actlab.layer('gelu', fast=True)(torch.ones(4))[0]) > 0.8)"

    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)

    assert found.stdout.strip() == "True", found.stderr
    assert list((cache / "kernels").iterdir()) == []
