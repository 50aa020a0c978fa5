"""Studies of the domains in which activation functions are compared, one command each, with rows and pages in docs/evidence/domains.

    python benchmarks/domains.py vision                 # run or resume the studies of a domain, and write its rows and pages
    python benchmarks/domains.py vision --budget 10m    # stop after that time; the same command goes on
    python benchmarks/domains.py --table                # print the committed rows as a table
    python benchmarks/domains.py --list                 # print domains, tasks, arms and seeds

Trials are stored in ``domains.db`` (``--store``); finished ones are not repeated. Rows are written to ``docs/evidence/domains/DOMAIN.csv``,
the page of each study beside it.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import actlab
from actlab.errors import did_you_mean

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "evidence" / "domains"
COLUMNS = (
    *("task", "metric_name", "arm", "seed", "init", "status", "metric", "validation"),
    *("train_loss", "lr", "parameters", "steps", "cpu_seconds"),
)


@dataclass(frozen=True, kw_only=True)
class DomainStudy:
    """A study of a domain: task, arms, seeds, and further options of :func:`actlab.compare`."""

    task: str
    arms: tuple[str, ...] = ("relu", "gelu", "silu", "tanh")
    seeds: int = 4
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def init(self) -> str:
        """Init policy of the study."""
        return str(self.options.get("init", "fixed"))

    @property
    def name(self) -> str:
        """Name of the study in the store, and of its page."""
        return self.task.replace(":", "_") + ("" if self.init == "fixed" else f"_{self.init}")


DOMAINS: dict[str, tuple[DomainStudy, ...]] = {
    "vision": (
        DomainStudy(task="fashion-mnist:depth-16", seeds=3),
        DomainStudy(task="fashion-mnist:resnet", arms=("relu", "gelu"), seeds=2),
        DomainStudy(task="fashion-mnist:vit", arms=("gelu", "relu"), seeds=2),
    ),
    "language": (
        DomainStudy(task="shakespeare", arms=("gelu", "relu"), seeds=2),
        DomainStudy(task="shakespeare", arms=("gelu", "relu"), seeds=2, options={"init": "matched"}),
    ),
    "text": (DomainStudy(task="shakespeare:plays", seeds=6),),
    "autoencoder": (DomainStudy(task="fashion-mnist:autoencoder", arms=("relu", "gelu"), seeds=2),),
    "gan": (DomainStudy(task="gan", arms=("leaky_relu(0.2)", "relu", "gelu"), seeds=4),),
    "tables": (
        DomainStudy(task="insurance", seeds=10),
        DomainStudy(task="insurance:gated", seeds=10),
        DomainStudy(task="insurance:attention", arms=("relu", "gelu", "tanh"), seeds=5),
        DomainStudy(task="insurance:linear-attention", arms=("relu", "gelu", "tanh"), seeds=5),
    ),
    "series": (
        DomainStudy(task="oil", seeds=8),
        DomainStudy(task="oil:causal", seeds=8),
        DomainStudy(task="co2", seeds=10),
    ),
    "perception": (DomainStudy(task="japanese-vowels", seeds=10),),
    "recommendation": (DomainStudy(task="dependencies", seeds=6),),
    "movielens": (DomainStudy(task="movielens", seeds=6),),  # files of the user, see the task
    "graphs": (
        DomainStudy(task="sections", arms=("relu", "gelu", "tanh"), seeds=5),
        DomainStudy(task="sections:mlp", arms=("relu", "tanh"), seeds=5),
    ),
    "equations": (
        DomainStudy(task="burgers", arms=("tanh", "sine", "relu"), seeds=5),
        DomainStudy(task="helmholtz", arms=("tanh", "sine", "relu"), seeds=5),
    ),
    "implicit": (
        DomainStudy(task="image:siren", arms=("sine", "gelu", "tanh"), seeds=5),
        DomainStudy(task="image:fourier", arms=("relu", "gelu", "sine"), seeds=5),
    ),
    "control": (DomainStudy(task="cart-pole", arms=("tanh", "relu", "silu"), seeds=5),),
    "microcontroller": (
        DomainStudy(task="tiny:anomaly", seeds=3),
        DomainStudy(task="tiny:ds-cnn", arms=("relu", "gelu"), seeds=2),
        DomainStudy(task="tiny:resnet-8", arms=("relu", "gelu"), seeds=2),
    ),
}


def run(study: DomainStudy, store: str, budget: str | None, jobs: int | None) -> None:
    """Run or resume a study, and write its page."""
    found = actlab.compare(
        study.task,
        study.arms,
        seeds=study.seeds,
        store=store,
        name=study.name,
        budget=budget,
        jobs=jobs,
        **study.options,
    )
    print(found.verdict().recommendation)
    page = found.report(FOLDER / f"{study.name}.html")
    page.write_text(
        page.read_text(encoding="utf-8").replace(str(Path(store).resolve()), "domains.db"), encoding="utf-8"
    )


def rows_of(study: DomainStudy, store: str) -> list[dict[str, Any]]:
    """Return the rows of a study that are in the store, by arm and seed."""
    if study.name not in {stored["study"] for stored in actlab.list_studies(store)}:
        return []
    found = actlab.load_study(store, study.name)
    extra = {"task": study.task, "metric_name": found.plan.metric, "init": study.init}
    rows = [{**row, **extra} for row in found.rows() if row["stage"] == "main"]
    order = {arm: place for place, arm in enumerate(found.plan.labels)}
    return sorted(rows, key=lambda row: (order[row["arm"]], row["seed"]))


def write(domain: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write the rows of a domain and return the path of the file."""
    path = FOLDER / f"{domain}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def table() -> str:
    """Return the committed rows as a Markdown table: mean and standard deviation over the seeds of each arm, and CPU time."""
    lines = [
        "| domain | task | metric | arms: mean ± standard deviation | seeds | CPU time |",
        "|---|---|---|---|---|---|",
    ]
    for path in sorted(FOLDER.glob("*.csv")):
        studies: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                studies[row["task"], row["init"]].append(row)
        for (task, init), rows in studies.items():
            results: dict[str, list[float]] = defaultdict(list)
            for row in rows:
                results[row["arm"]] += [float(row["metric"])] if row["metric"] else []
            arms = ", ".join(f"{arm} {_spread(values)}" for arm, values in results.items())
            minutes = sum(float(row["cpu_seconds"] or 0) for row in rows) / 60
            shown = f"`{task}`" + ("" if init == "fixed" else f", init {init}")
            seeds = len({row["seed"] for row in rows})
            lines.append(f"| {path.stem} | {shown} | {rows[0]['metric_name']} | {arms} | {seeds} | {minutes:.0f} min |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    spread = f" ± {statistics.stdev(values):.3g}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4g}{spread}"


def listing() -> str:
    """Return the domains with their studies, a line each."""
    return "\n".join(
        f"{domain:16} {study.task:28} init {study.init:8} {study.seeds} seeds  {' '.join(study.arms)}"
        for domain, studies in DOMAINS.items()
        for study in studies
    )


def main() -> None:
    """Run the studies of the named domains, or print what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domains", nargs="*", help=f"{', '.join(DOMAINS)}, or all")
    parser.add_argument("--store", default="domains.db")
    parser.add_argument("--budget", help="time after which no trial of a study is started, such as 10m")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--task", help="only the studies of this task; the rows of the others are those of the store")
    parser.add_argument("--table", action="store_true", help="print the committed rows as a table")
    parser.add_argument("--list", action="store_true", help="print domains, tasks, arms and seeds")
    options = parser.parse_args()
    chosen = list(DOMAINS) if options.domains == ["all"] else options.domains
    for domain in chosen:
        if domain not in DOMAINS:
            parser.error(f"there is no domain {domain!r}.{did_you_mean(domain, DOMAINS)} Domains: {', '.join(DOMAINS)}")
    if options.list or not (chosen or options.table):
        print(listing())
    FOLDER.mkdir(exist_ok=True)
    for domain in chosen:
        for study in DOMAINS[domain]:
            if options.task in {None, study.task}:
                run(study, options.store, options.budget, options.jobs)
        rows = [row for study in DOMAINS[domain] for row in rows_of(study, options.store)]
        print(f"{write(domain, rows)}: {len(rows)} rows")
    if options.table:
        print(table())


if __name__ == "__main__":
    main()
