"""Files of packed nets are read as written, deterministic, and refused with a reason where damaged."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.export.packed.test_pack import cnn, pixels, trained

from actlab.errors import PackError
from actlab.export.packed.file import VERSION, load_packed, save_packed
from actlab.export.packed.pack import pack

ROOT = Path(__file__).resolve().parents[3]
X = pixels(8, 1, 11, 12)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return pack(trained(cnn("sign/clipped", -1.0), X), X, largest_input=255)


@pytest.fixture
def path(net, tmp_path):
    return save_packed(net, tmp_path / "net.npz")


def changed(path, change):
    """Write the file again with its header, a dict, or its arrays changed."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(arrays["header"].tobytes())
    change(header, arrays)
    if "header" in arrays:
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


def test_what_is_written_is_read(net, path):
    again = load_packed(path)

    assert torch.equal(again(X), net(X))
    assert (again.input_shape, again.whole_inputs, again.largest_input) == ((1, 11, 12), True, 255)
    for one, other in zip(net.ops, again.ops, strict=True):
        assert (one.name, one.settings) == (other.name, other.settings)
        assert all(
            torch.equal(t, other.tensors[name]) and t.dtype == other.tensors[name].dtype
            for name, t in one.tensors.items()
        )


def test_the_same_net_makes_the_same_bytes(net, path, tmp_path):
    assert save_packed(load_packed(path), tmp_path / "again").read_bytes() == path.read_bytes()
    assert list(tmp_path.glob("*.part")) == []


def test_the_example_of_the_document_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "reference" / "binary_format.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]

    exec(code, {})  # noqa: S102 the document is ours

    assert (tmp_path / "net.npz").stat().st_size < 40_000


def test_it_is_a_plain_archive_of_little_endian_arrays(path):
    with np.load(path, allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        assert header["format"] == "actlab-packed-net"
        assert header["version"] == VERSION
        assert header["ops"][0] == {
            "op": "sign_conv",
            "arrays": ["words"],
            "channels": 1,
            "scale": None,
            "bias": None,
            "stride": [1, 1],
            "dilation": [1, 1],
            "edges": [0, 0, 0, 0],
            "pad_value": 0.0,
        }
        assert archive["0.words"].dtype == np.dtype("<u4")
        assert archive["2.value"].dtype == np.dtype("<i4")


def _set(header, path, value):
    *way, last = path
    for key in way:
        header = header[key]
    header[last] = value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda h, _: h.update(version=VERSION + 1),
            f"is of version {VERSION + 1}; this ActLab reads version {VERSION}",
        ),
        (lambda h, _: h.update(format="something"), "does not say 'actlab-packed-net'"),
        (lambda h, _: h.pop("ops"), "lacks its inputs or its operations"),
        (lambda h, _: _set(h, ["input", "shape"], ["x"]), "lacks its inputs"),
        (
            lambda h, _: _set(h, ["ops", 0, "op"], "sign_covn"),
            r"Operation 0 of .* is 'sign_covn', which is unknown. Did you mean 'sign_conv'",
        ),
        (lambda h, _: _set(h, ["ops", 0, "extra"], 1), r"unknown fields: \['extra'\]"),
        (lambda h, _: h["ops"][0].pop("channels"), "lacks channels"),
        (lambda h, _: _set(h, ["ops", 0, "channels"], 33), "33 channels take 2 words"),
        (lambda h, _: _set(h, ["ops", 0, "channels"], "1"), "field of another type"),
        (lambda h, _: _set(h, ["ops", 0, "arrays"], ["words", "bias"]), "lacks array bias"),
        (lambda _, a: a.pop("0.words"), "lacks array words"),
        (lambda _, a: a.update(stray=np.zeros(1)), "does not name: stray"),
        (
            lambda _, a: a.update({"0.words": a["0.words"].astype(np.float64)}),
            "0.words of .* is float64; allowed is <u4",
        ),
        (lambda _, a: a.update({"2.value": a["2.value"][1:]}), "differ in shape"),
        (lambda h, _: h["ops"].pop(), "does not name"),
        (lambda h, _: h["ops"].reverse(), "lacks"),
        (lambda h, _: _set(h, ["input", "shape"], [2, 11, 12]), "do not fit each other"),
        (lambda _, a: a.pop("header"), "it has no header"),
        (lambda h, a: a.update(header=np.frombuffer(b"{", dtype=np.uint8)) or h.clear(), "does not say"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(path, change, message):
    with pytest.raises(PackError, match=message):
        load_packed(changed(path, change))


def test_other_files_are_refused(tmp_path):
    other = tmp_path / "other"
    for content in (b"", b"hello", b"PK\3\4" + bytes(40), pickle.dumps([1, 2])):
        other.write_bytes(content)
        with pytest.raises(PackError, match="is damaged, or no file of a packed net"):
            load_packed(other)
    with pytest.raises(PackError, match="cannot be read: No such file"):
        load_packed(tmp_path / "none")
    with pytest.raises(PackError, match="cannot be read"):
        load_packed(tmp_path)


def test_a_pickle_inside_is_not_opened(path):
    class Bomb:
        def __reduce__(self):
            return exec, ("raise SystemExit('ran')",)

    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["0.words"] = np.array([Bomb()], dtype=object)
    with path.open("wb") as file:
        np.savez(file, **arrays)

    with pytest.raises(PackError, match="is damaged"):
        load_packed(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_byte_or_a_cut_is_refused_or_changes_nothing(net, path, data):
    content = path.read_bytes()
    position = data.draw(st.integers(0, len(content) - 1))
    cut = data.draw(st.booleans())
    broken = path.with_name("broken")
    flip = bytes([content[position] ^ data.draw(st.integers(1, 255))])
    broken.write_bytes(content[:position] if cut else content[:position] + flip + content[position + 1 :])

    try:
        read = load_packed(broken)
    except PackError:
        return
    assert not cut
    assert torch.equal(read(X), net(X))  # a byte that nothing depends on, such as a date


def test_a_file_that_cannot_be_written_raises(net, tmp_path):
    with pytest.raises(PackError, match="cannot be written"):
        save_packed(net, tmp_path / "nowhere" / "net.npz")


def test_zip_entries_are_stored_so_that_readers_need_no_inflate(path):
    with zipfile.ZipFile(path) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
