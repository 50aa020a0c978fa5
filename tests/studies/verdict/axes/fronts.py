"""Studies with an int8 metric and figures of a device, without any training."""

from __future__ import annotations

from typing import Any

from tests.studies.verdict.axes.simulated import facts, result, row

from actlab.studies.verdict.verdict import Verdict, make_verdict

COSTS = {"flash": {"direction": "min", "unit": "bytes"}, "instructions": {"direction": "min", "unit": ""}}
Arms = dict[str, tuple[float, float | None]]


def study(arms: Arms, direction: str = "max", seeds: int = 3) -> tuple[Verdict, list[dict[str, Any]]]:
    """Return a study of arms with an int8 metric, and instructions, of which flash is a tenth; None for an arm without figures."""
    axes = (
        {"name": "device", "level": "arm", "columns": COSTS},
        {"name": "int8", "columns": {"metric": {"direction": direction, "rope": 0.005}}},
    )
    rows = [
        row(arm, seed, {"int8": result({"metric": metric + 0.001 * seed})})
        for arm, (metric, _) in arms.items()
        for seed in range(seeds)
    ]
    costs: dict[str, Any] = {
        arm: {"axes": {"device": _figures(instructions)}} for arm, (_, instructions) in arms.items()
    }
    return make_verdict(rows, facts(tuple(arms), seeds, axes=axes), costs), rows


def _figures(instructions: float | None) -> dict[str, Any]:
    if instructions is None:
        return {"numbers": {}, "ratios": {}, "undefined": dict.fromkeys(COSTS, "no compiler. Install gcc")}
    return {"numbers": {"instructions": instructions, "flash": instructions / 10}, "ratios": {}, "undefined": {}}


FOUR: Arms = {"relu": (0.90, 1000), "gelu": (0.92, 3000), "tanh": (0.89, 2000), "mish": (0.92, 4000)}
