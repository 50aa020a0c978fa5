"""Recall and false positives of the data audit on planted faults, and its findings on the tasks that ship.

    OMP_NUM_THREADS=1 python benchmarks/audit.py faults --seeds 2      # docs/evidence/audit.md, first table (2 minutes on one core)
    OMP_NUM_THREADS=1 python benchmarks/audit.py clean                 # second table (1 minute)
    OMP_NUM_THREADS=1 python benchmarks/audit.py tasks                 # third table (2 minutes)

faults  In three data sets (scikit-learn's digit images and breast cancer table, passages of tiny Shakespeare) each kind of fault is planted
        in 0.1 %, 1 % and 10 % of the examples, but in one at least, in examples of their own. Printed are the share of the planted examples
        that the audit names, and how many examples (of features: how many more features) it names that were not planted and that it does
        not name in the data without the faults. Of a leaking feature the share is that of examples in which it says another class; of
        imbalance, the share that one class keeps of its examples.
clean   Audits with a finding of 20 random splits of data sets without planted faults, and of drawn ones.
tasks   The findings of every task, without settings.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.datasets import load_breast_cancer, load_digits

import actlab
from actlab.errors import ActlabError
from actlab.evaluate.audit import class_balance, duplicates, feature_leaks, label_errors, split_order
from actlab.evaluate.audit.neighbours import near_duplicates
from actlab.evaluate.audit.text import reference_overlap
from actlab.tasks.builtin.language.tiny_shakespeare import characters
from actlab.tasks.registry import names, resolve

RATES = (0.001, 0.01, 0.1)
PASSAGE = 300  # characters
# So that findings name all their examples.
SHOWING: tuple[ModuleType, ...] = (
    class_balance,
    duplicates,
    feature_leaks,
    label_errors,
    split_order,
    near_duplicates,
    reference_overlap,
)


@dataclass
class Set:
    """A data set in two splits, with a change that a near duplicate has."""

    name: str
    x: dict[str, Any]
    y: dict[str, np.ndarray]
    blur: Callable[[Any, np.random.Generator], Any]
    planted: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))


class Texts:
    """Dataset of passages with their class."""

    def __init__(self, x: list[str], y: np.ndarray, *more: np.ndarray) -> None:
        self.x, self.y, self.more = x, y, more

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, place: int) -> Any:
        group, moment = (column[place] for column in self.more)
        return {"text": self.x[place], "group": group, "time": moment, "label": self.y[place]}


def images(seed: int) -> Set:
    """Return 1,258 and 539 digit images of scikit-learn, 8 x 8 pixels."""
    found = load_digits()
    order = np.random.default_rng(seed).permutation(len(found.images))
    parts = {"train": order[539:], "test": order[:539]}
    x, y = ({name: values[rows].copy() for name, rows in parts.items()} for values in (found.images, found.target))

    def blur(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        shifted = np.roll(image, random.integers(-1, 2, 2), (0, 1))
        return random.uniform(0.6, 1.0) * shifted + random.uniform(0, 3)

    return Set("images", x, y, blur)


def table(seed: int) -> Set:
    """Return 398 and 171 rows of scikit-learn's breast cancer table."""
    found = load_breast_cancer()
    order = np.random.default_rng(seed).permutation(len(found.data))
    parts = {"train": order[171:], "test": order[:171]}
    x, y = ({name: values[rows].copy() for name, rows in parts.items()} for values in (found.data, found.target))
    return Set("table", x, y, lambda row, _: np.array([float(f"{value:.3g}") for value in row]))


def text(seed: int) -> Set:
    """Return passages of tiny Shakespeare, the first nine tenths for training; the class is the half of its part."""
    numbers, letters = characters()
    whole = "".join(letters[number] for number in numbers.tolist())
    start = 7 * seed
    passages = [whole[at : at + PASSAGE] for at in range(start, len(whole) - PASSAGE, PASSAGE)]
    n = round(0.9 * len(passages))
    x = {"train": passages[:n], "test": passages[n:]}
    y = {name: (np.arange(len(part)) * 2 // len(part)).astype(np.int64) for name, part in x.items()}

    def blur(passage: str, random: np.random.Generator) -> str:
        words = passage.split(" ")
        for place in range(int(random.integers(10)), len(words), 10):
            words[place] = "whatever"
        return " ".join(words)

    return Set("text", x, y, blur)


def plant(data: Set, rate: float, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Plant faults in a data set, each in examples of its own, and return the groups and times of its examples by split."""
    random = np.random.default_rng(seed)
    n_test, n_train = len(data.x["test"]), len(data.x["train"])
    free = {"test": list(random.permutation(n_test)), "train": list(random.permutation(n_train))}
    sources = [free["train"].pop() for _ in range(3 * max(1, round(rate * n_test)))]
    k, k_train = max(1, round(rate * n_test)), max(1, round(rate * n_train))

    def chosen(kind: str, count: int, split: str = "test") -> list[int]:
        found = [int(free[split].pop()) for _ in range(count)]
        data.planted[kind] |= set(found)
        return found

    classes = len(np.unique(data.y["train"]))
    for place in chosen("exact duplicates across", k):
        source = sources.pop()
        data.x["test"][place], data.y["test"][place] = data.x["train"][source], data.y["train"][source]
    for place in chosen("near duplicates across", k):
        source = sources.pop()
        data.x["test"][place], data.y["test"][place] = (
            data.blur(data.x["train"][source], random),
            data.y["train"][source],
        )
    for place in chosen("label conflicts", k):
        source = sources.pop()
        data.x["test"][place], data.y["test"][place] = data.x["train"][source], (data.y["train"][source] + 1) % classes
    data.planted["exact duplicates across"] |= data.planted["label conflicts"]  # which are copies too
    for place, copy in zip(chosen("exact duplicates within", k_train, "train"), list(free["train"]), strict=False):
        data.x["train"][place], data.y["train"][place] = data.x["train"][copy], data.y["train"][copy]
    groups = {"test": np.arange(n_test) // 3 + n_train, "train": np.arange(n_train) // 3}
    times = {"test": n_train + np.arange(n_test) * 1.0, "train": np.arange(n_train) * 1.0}
    for place in chosen("group leakage", k):
        groups["test"][place] = groups["train"][random.integers(n_train)]
    for place in chosen("time order", k):
        times["test"][place] = times["train"][random.integers(n_train)]
    if data.name != "text":
        for place in chosen("label errors", k_train, "train"):
            data.y["train"][place] = (data.y["train"][place] + random.integers(1, classes)) % classes
    return {"groups": groups, "times": times}


def leak(data: Set, rate: float, seed: int) -> None:
    """Add a feature that is the class, but for a share of the examples."""
    random = np.random.default_rng(seed)
    for name in data.x:
        said = data.y[name].copy()
        wrong = random.random(len(said)) < rate
        said[wrong] = random.permutation(data.y[name])[wrong]
        if data.name == "images":
            data.x[name][:, 0, 0] = said / 20
        else:
            data.x[name] = np.column_stack([data.x[name], 3.0 * said + 1])


def audited(data: Set, columns: dict[str, dict[str, np.ndarray]] | None, **settings: Any) -> actlab.DataAudit:
    """Return the audit of a data set, with groups and times of its examples."""
    given = columns or {
        "groups": {n: np.arange(len(p)) // 3 + (10**6 if n == "test" else 0) for n, p in data.x.items()},
        "times": {n: np.arange(len(p)) + (1e6 if n == "test" else 0.0) for n, p in data.x.items()},
    }
    if data.name == "text":
        source: Any = {n: Texts(data.x[n], data.y[n], given["groups"][n], given["times"][n]) for n in data.x}
        return actlab.audit(source, groups="group", times="time", **settings)
    source = {n: ({"x": data.x[n], "group": given["groups"][n], "time": given["times"][n]}, data.y[n]) for n in data.x}
    return actlab.audit(source, groups="group", times="time", label_errors=True, **settings)


def named(found: actlab.DataAudit) -> dict[str, set[int]]:
    """Return the examples that an audit names, by kind of fault as they are planted."""
    result: dict[str, set[int]] = defaultdict(set)
    for report in found.reports:
        kind = report.kind
        if kind in {"exact duplicates", "near duplicates"}:
            kind += " within" if report.splits[0] == report.splits[-1] else " across"
        first = [example[0] if isinstance(example, tuple) else example for example in report.examples]
        if kind == "exact duplicates within":
            first = [
                index for example in report.examples for index in example
            ]  # either of the two may be the planted one
            first = first if report.splits[0] == "train" else []
        if kind == "label conflicts" and report.splits[0] != "test":
            first = []
        result[kind] |= set(first)
        if kind in {"leaking feature", "class imbalance", "contamination"}:
            result[f"{kind}: reports"] |= {report.count}
    return result


def faults(seeds: int) -> Iterator[str]:
    """Yield the lines of the table of planted faults."""
    for module in SHOWING:
        module.EXAMPLES_SHOWN = 10**6  # type: ignore[attr-defined] # the constant of each module
    rows: dict[tuple[str, str], dict[float, list[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(list))
    for make in (table, text, images):
        for seed in range(seeds):
            before = named(audited(make(seed), None))
            for rate in RATES:
                measure(make, rate, seed, before, rows)
    yield "| data | fault | " + " | ".join(f"{rate:.1%}: found of planted, others" for rate in RATES) + " |"
    yield "|---|---|" + "---|" * len(RATES)
    for (name, kind), by_rate in rows.items():
        cells = []
        for rate in RATES:
            hits, total, others = (sum(column) for column in zip(*by_rate[rate], strict=True))
            cells.append(f"{hits} of {total}, {others}")
        yield f"| {name} | {kind} | {' | '.join(cells)} |"


def measure(make: Callable[[int], Set], rate: float, seed: int, before: dict[str, set[int]], rows: Any) -> None:
    """Plant all faults at one rate and count what is found of them."""
    data = make(seed)
    columns = plant(data, rate, seed)
    found = named(audited(data, columns))
    for kind, planted in data.planted.items():
        others = found[kind] - planted - before[kind]
        if kind == "exact duplicates within":  # the originals of copies are named too
            others = set()
        rows[data.name, kind][rate].append((len(found[kind] & planted), len(planted), len(others)))
    if data.name == "text":
        measure_contamination(make(seed), rate, seed, rows)
        return
    data = make(seed)
    leak(data, rate, seed)
    reports = named(audited(data, None))["leaking feature: reports"]
    rows[data.name, "leaking feature"][rate].append((int(bool(reports)), 1, sum(reports) - 1 if reports else 0))
    data = make(seed)
    for name in data.x:
        members = np.nonzero(data.y[name] == 1)[0]
        kept = np.setdiff1d(np.arange(len(data.y[name])), members[max(1, round(rate * len(members))) :])
        data.x[name], data.y[name] = data.x[name][kept], data.y[name][kept]
    reports = named(audited(data, None))["class imbalance: reports"]
    rows[data.name, "class imbalance"][rate].append((int(bool(reports)), 1, 0))


def measure_contamination(data: Set, rate: float, seed: int, rows: Any) -> None:
    """Put some of the test passages into a reference of other text, and count what is found of them."""
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(data.x["test"]))[: max(1, round(rate * len(data.x["test"])))].tolist()
    parts = [*data.x["train"], *(data.x["test"][place] for place in chosen)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reference.txt"
        file.write_text("\n\n".join(parts[place] for place in random.permutation(len(parts))))
        found = named(audited(data, None, against=file))["contamination"]
    planted = set(chosen)
    rows[data.name, "contamination"][rate].append((len(found & planted), len(planted), len(found - planted)))


def drawn(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and classes of a data set of scikit-learn, or of 2,000 independent examples of a distribution."""
    random = np.random.default_rng(seed)
    if name in {"iris", "wine", "breast_cancer", "digits"}:
        found = getattr(datasets, f"load_{name}")()
        return found.data, found.target
    if name == "digit images":
        found = load_digits()
        return found.images, found.target
    n = 2000
    rows = {
        "normal, 20 columns": lambda: random.normal(size=(n, 20)),
        "lognormal, 15 columns": lambda: random.lognormal(size=(n, 15)),
        "Cauchy, 20 columns": lambda: random.standard_cauchy((n, 20)),
        "coins, 15 columns": lambda: random.integers(0, 2, (n, 15)),
        "answers from 1 to 7, 12 columns": lambda: random.integers(1, 8, (n, 12)),
        "numbers, one-hot codes and counts": lambda: np.column_stack(
            [random.normal(size=(n, 3)).round(2), np.eye(6)[random.integers(0, 6, n)], random.poisson(2, (n, 4))]
        ),
        "30 columns of mostly zeros": lambda: random.poisson(0.3, (n, 30)) * random.lognormal(size=(n, 30)).round(2),
        "rows of five scales": lambda: random.normal(size=(n, 8)) * 10.0 ** random.integers(-2, 3, (n, 1)),
    }
    return rows[name](), random.integers(0, 2, n)


CLEAN = (
    "iris", "wine", "breast_cancer", "digits", "digit images", "normal, 20 columns", "lognormal, 15 columns", "Cauchy, 20 columns",
    "coins, 15 columns", "answers from 1 to 7, 12 columns", "numbers, one-hot codes and counts", "30 columns of mostly zeros",
    "rows of five scales",
)  # fmt: skip


def clean(seeds: int) -> Iterator[str]:
    """Yield the lines of the table of data without planted faults."""
    yield f"| data | audits with a finding, of {seeds} | of which kind | median of examples |"
    yield "|---|---|---|---|"
    for name in CLEAN:
        kinds: Counter[str] = Counter()
        counts = []
        for seed in range(seeds):
            x, y = drawn(name, seed)
            order = np.random.default_rng(seed).permutation(len(x))
            test, train = np.split(order, [round(0.3 * len(x))])
            found = actlab.audit({"train": (x[train], y[train]), "test": (x[test], y[test])})
            kinds.update({finding.kind for finding in found.findings})
            counts += [] if found.clean else [max(finding.count for finding in found.findings)]
        told = ", ".join(f"{kind} {count}" for kind, count in kinds.items()) or "-"
        yield f"| {name} | {len(counts)} | {told} | {np.median(counts) if counts else 0:.0f} |"


def tasks() -> Iterator[str]:
    """Yield the lines of the table of tasks."""
    yield "| task | examples | CPU seconds | findings |"
    yield "|---|---|---|---|"
    seen: dict[Any, str] = {}
    for name in names():
        data = resolve(name).data
        if seen.setdefault(data, name) != name:
            yield f"| {name} | | | the data of {seen[data]} |"
            continue
        began = time.process_time()
        try:
            found = actlab.audit(name)
        except ActlabError as error:
            yield f"| {name} | | | not audited: {str(error).split('.')[0]} |"
            continue
        seconds = time.process_time() - began
        told = "; ".join(f"{finding.kind}: {finding.sentence}" for finding in found.findings) or "none"
        yield f"| {name} | {sum(found.sizes.values()):,} | {seconds:.1f} | {told} |"


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("faults", "clean", "tasks"), nargs="+")
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    for what in given.what:
        lines = {"faults": lambda: faults(given.seeds), "clean": lambda: clean(10 * given.seeds), "tasks": tasks}
        for line in lines[what]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
