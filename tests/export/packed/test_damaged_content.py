"""A file whose content is wrong and whose checksums are right is refused with a PackError, at once and within its own size."""

import copy
import io
import json
import os
import random
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from tests.export.packed.test_pack import cnn, mlp, pixels, trained

from actlab.errors import PackError
from actlab.export.packed.file import load_packed, save_packed
from actlab.export.packed.header import parse_json
from actlab.export.packed.operations import Conv, MaxPool, Norm
from actlab.export.packed.pack import pack
from actlab.export.packed.value_shapes import LARGEST_VALUE, check_arrays, check_shapes

X = pixels(8, 1, 11, 12)
RUNNABLE = 2**22  # elements of an input that a test may run

VALUES = [
    *(0, 1, 2, 3, 5, -1, 31, 33, 2**16, 2**24, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, 3.5e38),
    *(
        "",
        "same",
        "valid",
        "x" * 1000,
        "\ud800",
        "words",
        None,
        True,
        False,
        [],
        {},
        [1],
        [1, 1],
        [0, 0],
        [2, 1],
        [1, 1, 1, 1],
    ),
    *([10**9, 10**9], [2**24, 2**24], ["a", "b"], {"a": 1}, [[1, 1]], [[[]]], [1.0, 1.0]),
]


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """Members of two files, by name."""
    torch.manual_seed(0)
    net = nets()
    found = []
    for number, packed in enumerate(net):
        path = save_packed(packed, tmp_path_factory.mktemp("packed") / f"{number}.npz")
        with zipfile.ZipFile(path) as archive:
            found.append({name: archive.read(name) for name in archive.namelist()})
    return found


def nets():
    flat = pixels(16, 40)
    images = pack(trained(cnn("step/arctan", 0.0, first=torch.nn.Conv2d), X), X)
    return [pack(trained(mlp("sign/clipped", "mean"), flat), flat, largest_input=255), images]


def write(path, members, *, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def npy(content, **changes):
    """The array of a ``.npy`` member, written again with another header or data."""
    array = np.load(io.BytesIO(content))
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | changes
    text = (
        f"{{'descr': {header['descr']!r}, 'fortran_order': {header['fortran_order']}, 'shape': {header['shape']}, }}\n"
    )
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + changes.get("data", array.tobytes())


def damaged_header(draw, text):
    header = json.loads(text)
    ways = list(leaves(header))
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        way = draw.choice(ways)
        holder = header
        try:
            for key in way[:-1]:
                holder = holder[key]
            if draw.random() < 0.1 and isinstance(holder, dict):
                del holder[way[-1]]
            else:
                holder[way[-1]] = copy.deepcopy(draw.choice(VALUES))
        except (KeyError, IndexError, TypeError):
            continue
    if draw.random() < 0.1:
        draw.shuffle(header["ops"]) if isinstance(header.get("ops"), list) else None
    return json.dumps(header).encode()


def leaves(value, way=()):
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*way, key)
        yield from leaves(value[key], (*way, key))


def header_member(text):
    return npy(npy_of(np.frombuffer(text, dtype=np.uint8)))


def npy_of(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def damaged_array(draw, content):
    array = np.load(io.BytesIO(content))
    kind = draw.choice(["bytes", "shape", "dtype", "huge", "nested", "cut", "values", "evil"])
    if kind == "bytes":
        broken = bytearray(content)
        for _ in range(draw.choice([1, 3])):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        return bytes(broken)
    if kind == "shape":
        return npy_of(
            np.resize(array, draw.choice([(), (0,), (1,), (3, 3), (2, 2, 2, 2), (1, 0, 1, 1), array.shape[::-1]]))
        )
    if kind == "dtype":
        with np.errstate(all="ignore"):
            return npy_of(
                array.astype(draw.choice(["<f8", ">f4", "<i8", "|b1", "<U3", "<c8", "<f2", "<i4", "<u4", "<f4", "|u1"]))
            )
    if kind == "huge":
        return npy(content, shape=draw.choice([(2**40,), (2**31, 2**31), (10**12, 0), (1,) * 40, (-1,), (0, 2**62)]))
    if kind == "nested":
        return npy(content, shape="(" * draw.choice([50, 5000, 30000]))
    if kind == "cut":
        return content[: draw.randrange(len(content))]
    if kind == "values" and array.dtype.kind == "f":
        return npy_of(np.full_like(array, draw.choice([np.nan, np.inf, -np.inf, 0, 3e38])))
    return npy(content, descr=draw.choice(["|O", "<f4" * 300, "|V99999999", "__import__('os')"]))


def variants(contents, number):
    draw = random.Random(number)  # noqa: S311 # a test
    members = dict(draw.choice(contents))
    kind = draw.choice(["header", "header", "array", "array", "text", "remove", "double", "deflate"])
    other = draw.choice([name for name in members if name != "header.npy"])
    text = np.load(io.BytesIO(members["header.npy"])).tobytes()
    if kind == "header":
        members["header.npy"] = npy_of(np.frombuffer(damaged_header(draw, text), dtype=np.uint8))
    elif kind == "array":
        members[other] = damaged_array(draw, members[other])
    elif kind == "text":
        broken = bytearray(text)
        for _ in range(draw.choice([1, 2, 8])):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        members["header.npy"] = npy_of(np.frombuffer(bytes(broken), dtype=np.uint8))
    elif kind == "remove":
        del members[draw.choice(list(members))]
    elif kind == "double":
        members["1." + other] = members[other]
    return list(members.items()), zipfile.ZIP_DEFLATED if kind == "deflate" else zipfile.ZIP_STORED


def check(path):
    """Load a file, which is refused with a PackError or gives a net that runs."""
    start, message = time.process_time(), ""
    try:
        net = load_packed(path)
    except PackError as error:
        net, message = None, str(error)
    assert time.process_time() - start < 1
    assert len(message) < 2000
    if net is None:
        return False
    if np.prod(net.input_shape) <= RUNNABLE:
        assert net(torch.zeros(1, *net.input_shape)).dtype == torch.float32
    return True


def check_many(contents, tmp_path, numbers):
    accepted = 0
    for number in numbers:
        members, compression = variants(contents, number)
        accepted += check(write(tmp_path / "damaged.npz", members, compression=compression))
    return accepted


def test_hundreds_of_damaged_files_are_refused_or_run(contents, tmp_path):
    accepted = check_many(contents, tmp_path, range(600))

    assert 0 < accepted < 300


@pytest.mark.slow
def test_thousands_of_damaged_files_are_refused_or_run(contents, tmp_path):
    assert check_many(contents, tmp_path, range(1000, 9000)) < 4000


def small(contents):
    return dict(contents[0])


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"format": "actlab-packed-net", "ops": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"version": ' + b"9" * 5000 + b"}",
        b'{"version": NaN}',
        b'{"version": 1, "version": 1}',
        b"\xff\xfe",
        b" " * 5_000_000,
    ],
)
def test_a_header_that_would_cost_more_than_it_holds_is_refused(contents, tmp_path, text):
    members = small(contents) | {"header.npy": npy_of(np.frombuffer(text, dtype=np.uint8))}

    assert not check(write(tmp_path / "net.npz", members.items()))


def test_compressed_members_are_refused_before_they_are_read(contents, tmp_path):
    members = small(contents) | {"0.words.npy": bytes(60_000_000)}
    path = write(tmp_path / "net.npz", members.items(), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000

    tracemalloc.start()
    with pytest.raises(PackError, match="compressed or encrypted"):
        load_packed(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_overlap_or_have_one_name_are_refused(contents, tmp_path):
    members = [*small(contents).items(), ("header.npy", b"")]
    with pytest.raises(PackError, match="one name"):
        load_packed(write(tmp_path / "net.npz", members))

    path = write(tmp_path / "many.npz", [("0.words.npy", bytes(10_000)), ("1.words.npy", bytes(10_000))])
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        second = archive.infolist()[1].header_offset
    directory = content.index(b"PK\1\2")
    # both entries of the directory point to one member, and the other one is left out
    path.write_bytes(
        (content[:second] + content[directory:])
        .replace(struct.pack("<L", second) + b"1.words", struct.pack("<L", 0) + b"1.words")
        .replace(struct.pack("<L", directory), struct.pack("<L", second))
    )
    with pytest.raises(PackError, match="damaged"):
        load_packed(path)


@pytest.mark.parametrize(
    ("setting", "value"), [("padding", [2**24, 2**24]), ("padding", [3, 2]), ("kernel", [2**24, 1]), ("stride", [0, 1])]
)
def test_settings_that_would_need_more_memory_than_the_format_allows_are_refused(contents, tmp_path, setting, value):
    members = dict(contents[1])
    header = json.loads(np.load(io.BytesIO(members["header.npy"])).tobytes())
    next(op for op in header["ops"] if op["op"] == "max_pool")[setting] = value
    members["header.npy"] = npy_of(np.frombuffer(json.dumps(header).encode(), dtype=np.uint8))

    assert not check(write(tmp_path / "net.npz", members.items()))


@pytest.mark.parametrize("change", [{"eps": -1.0}, {"variance": torch.tensor([1.0, -1.0])}])
def test_a_norm_of_negative_variance_is_refused(change):
    arrays = {"mean": torch.zeros(2), "variance": torch.ones(2)}

    with pytest.raises(PackError, match="variance or eps is negative"):
        check_arrays(Norm(**(arrays | change)))


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(PackError, match="cannot be read"):
            load_packed(path)


def test_json_of_the_format_is_read_and_nothing_else():
    assert parse_json(b'{"a": [1, {"b": "]]]]]]]]]]]]]]\\""}]}') == {"a": [1, {"b": ']]]]]]]]]]]]]]"'}]}
    with pytest.raises(ValueError, match="nested"):
        parse_json(b"[[[[[[[[[]]]]]]]]]")


@pytest.mark.parametrize("number", range(60))
def test_shapes_are_those_that_torch_gives(number):
    draw = random.Random(number)  # noqa: S311 # a test
    pair = lambda low, high: (draw.randint(low, high), draw.randint(low, high))  # noqa: E731
    shape = (2, draw.randint(1, 9), draw.randint(1, 9))
    if number % 2:
        padding = draw.choice([pair(0, 3), "same", "valid"])
        op = Conv(
            weight=torch.zeros(4, 1, *pair(1, 4)),
            stride=pair(1, 3),
            padding=padding,
            dilation=pair(1, 3),
            groups=draw.choice([1, 2, 4]),
        )
    else:
        op = MaxPool(
            kernel=pair(1, 4), stride=pair(1, 3), padding=pair(0, 2), dilation=pair(1, 2), ceil=draw.random() < 0.5
        )

    try:
        output = op(torch.zeros(1, *shape))
    except RuntimeError:
        with pytest.raises(PackError):
            check_shapes([op], shape)
    else:
        check_shapes([op], shape)
        wanted = tuple(output.shape[1:])
        check_shapes([op, Conv(weight=torch.zeros(1, wanted[0], *wanted[1:]))], shape)
        larger = Conv(weight=torch.zeros(1, wanted[0], wanted[1] + 1, wanted[2]))
        with pytest.raises(PackError):
            check_shapes([op, larger], shape)


def test_an_input_beyond_the_largest_value_is_refused():
    with pytest.raises(PackError, match="elements"):
        check_shapes([MaxPool(kernel=(1, 1), stride=(1, 1))], (1, LARGEST_VALUE, 2))
