"""Sentences on convergence that keep apart how fast an arm trains and how it ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from actlab.studies.arm import named
from actlab.studies.verdict.arm_summary import ArmSummary
from actlab.studies.verdict.convergence.convergence import ArmConvergence, Convergence, TimeToTarget
from actlab.studies.verdict.outcomes import StudyFacts
from actlab.studies.verdict.words import all_named, capitalized
from actlab.system.name_list import listed
from actlab.system.plural import plural

__all__ = ["arm_sentence", "convergence_sentences", "target_sentence"]

_PACE: Final = {"faster": "trains faster than", "slower": "trains slower than"}
_END: Final = {"better": "ends better", "worse": "ends worse", "equivalent": "ends equal"}
_AGREE: Final = {("faster", "better"), ("slower", "worse")}


def convergence_sentences(found: Convergence, arms: Sequence[ArmSummary], facts: StudyFacts) -> tuple[str, ...]:
    """Return the target, then for each arm but the baseline how fast it trains and how it ends, and what the two answers do not cover.

    Args:
        found: convergence of the arms.
        arms: summaries, in the order in which the sentences follow.
        facts: of the study.
    """
    sentences = [target_sentence(found), *_limits(found)]
    sentences += [
        arm_sentence(entry, found, summary, facts)
        for summary in arms
        if summary.spec != found.baseline
        and (entry := found.of(summary.spec)) is not None
        and found.times(entry) is not None
    ]
    return tuple(map(capitalized, sentences))


def target_sentence(found: Convergence) -> str:
    """Return the target and how it was fixed, or why there is none."""
    if found.target is None:
        return f"No target of convergence: {found.note or 'none was fixed before the study'}."
    return f"Target: {found.target} ({found.target.rule})."


def _limits(found: Convergence) -> Iterator[str]:
    """Say where the target tells nothing, or where its times are estimates."""
    if found.target is None:
        return
    if found.by_clock:
        yield (
            "The trials end after a time and not after a number of steps, so times to the target are in seconds, and estimates without an "
            "error rate: they are those of this machine."
        )
    by_arm = {entry.arm: times for entry in found.arms if (times := found.times(entry)) is not None}
    if not by_arm:
        yield f"The {'training loss' if found.target.is_loss else found.target.name} was not recorded during the trials."
        return
    if found.target.began and not found.by_clock:
        yield "It was given when trials of the study had ended, so the times to it are estimates without an error rate."
    never = [arm for arm, times in by_arm.items() if times.censored == times.n]
    longest = max(times.horizon for times in by_arm.values())
    within = f" within {_amount(longest, found) if found.by_clock else plural(found.horizon, 'step')}"
    if len(never) == len(by_arm):
        yield f"No trial reached it{within}: it is out of reach of this training."
    elif never:
        yield f"{all_named(never)} never reached it{within}."
    early = [f"{times.ended_early} of {named(arm)}" for arm, times in by_arm.items() if times.ended_early]
    if early:
        yield f"Trials that ended before step {found.horizon} without it count as never reaching it: {listed(early)}."
    if all(times.at_once == times.n for times in by_arm.values()):
        yield "Every trial met it when it was first evaluated, so it says nothing about speed."


def arm_sentence(entry: ArmConvergence, found: Convergence, summary: ArmSummary, facts: StudyFacts) -> str:
    """Return how fast an arm trains and how it ends, compared with the baseline, with the numbers of both."""
    return f"{_claim(entry, found)}: {_times(entry, found)}; {_result(entry, summary, facts)}."


def _claim(entry: ArmConvergence, found: Convergence) -> str:
    arm, baseline = named(entry.arm, short=True), named(found.baseline)
    pace, end = _PACE.get(entry.pace), _END.get(entry.end)
    is_open = entry.end == "not compared"
    nothing = "the results at the end cannot be compared" if is_open else "no difference at the end is shown"
    if pace and end:
        joined = "and" if (entry.pace, entry.end) in _AGREE else "but"
        return f"{arm} {pace} {baseline} {joined} {end}"
    if pace:
        return f"{arm} {pace} {baseline}, and {nothing}"
    speed = "how fast it trains was not tested" if entry.pace == "not compared" else "no difference in speed is shown"
    if end:
        return f"{arm} {end} {'to' if entry.end == 'equivalent' else 'than'} {baseline}, and {speed}"
    if entry.pace == "not compared" or is_open:
        return f"{arm} and {baseline}: {speed}, and {nothing}"
    return f"{arm} and {baseline}: no difference is shown, neither in speed nor at the end"


def _times(entry: ArmConvergence, found: Convergence) -> str:
    """Return when the arm and the baseline reach the target."""
    baseline, times = found.of(found.baseline), found.times(entry)
    other = None if baseline is None else found.times(baseline)
    assert times is not None  # noqa: S101 # for the type checker; only such arms have a sentence
    parts = [f"the target is reached {_when(times, found)}"]
    if other is not None:
        parts[0] += f", with {named(found.baseline)} {_when(other, found)}"
    if times.gain is not None:
        is_censored = times.censored or (other is not None and other.censored)
        parts.append(_gain(times.gain.mean, found, f", up to {_until(times, found)}" if is_censored else ""))
    return ", ".join(parts)


def _gain(mean: float, found: Convergence, within: str) -> str:
    if not mean:
        return f"on average at the same {'time' if found.by_clock else 'step'}{within}"
    return f"on average {_amount(abs(mean), found)} {'earlier' if mean > 0 else 'later'}{within}"


def _until(times: TimeToTarget, found: Convergence) -> str:
    return _amount(times.horizon, found) if found.by_clock else f"step {found.horizon}"


def _when(times: TimeToTarget, found: Convergence) -> str:
    reached = times.n - times.censored
    if not reached:
        return "in no trial"
    by = f"in {reached} of {plural(times.n, 'trial')}" if times.censored else ""
    if times.median is None:
        return by
    return f"after {_amount(times.median, found)} ({'median; ' + by if by else 'median'})"


def _amount(value: float, found: Convergence) -> str:
    return f"{value:.3g} s" if found.by_clock else f"{_number(value)} steps"


def _result(entry: ArmConvergence, summary: ArmSummary, facts: StudyFacts) -> str:
    """Return the answer of the study at the end of training."""
    if summary.diff is None:
        return f"at the end there is no {facts.metric} to compare"
    size, mean = abs(summary.diff.mean), summary.diff.mean
    if mean == 0:
        return f"at the end the mean {facts.metric} is the same"
    text = f"at the end its {facts.metric} is {size:.2g} {'higher' if mean > 0 else 'lower'} on average"
    if entry.end == "equivalent":
        return f"{text}, which is within the region of practical equivalence"
    if entry.end not in ("better", "worse"):
        return f"{text}, which may be noise"
    agrees = (facts.sign * mean > 0) == (entry.end == "better")
    return text if agrees else f"{text}, although the evidence seed by seed is the other way"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.3g}"
