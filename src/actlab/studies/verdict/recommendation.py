"""Choice of the arm to use, and the recommendation and its reason in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actlab.stats.racing import fewest_rounds
from actlab.studies.arm import named
from actlab.studies.verdict.arm_summary import ArmSummary
from actlab.studies.verdict.finding import Findings
from actlab.studies.verdict.learned import Learned
from actlab.studies.verdict.outcomes import Costs, StudyFacts
from actlab.studies.verdict.step_time import cheapest, compare_times
from actlab.studies.verdict.ties import Tie
from actlab.studies.verdict.words import all_named, capitalized, step_time_text
from actlab.system.name_list import listed
from actlab.system.plural import plural

__all__ = ["Basis", "Recommendation", "recommend"]


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a recommendation is made from.

    Attributes:
        arms: summary of every arm, best first.
        findings: about the arms and pairs.
        ties: as in the verdict.
        learned: whether anything was learned.
        facts: of the study.
        costs: of the arms.
    """

    arms: Sequence[ArmSummary]
    findings: Findings
    ties: Sequence[Tie]
    learned: Learned
    facts: StudyFacts
    costs: Costs

    @property
    def best(self) -> list[str]:
        """Labels of the best set, best first."""
        return [arm.spec for arm in self.arms if arm.spec in self.findings.best]

    def of(self, arm: str) -> ArmSummary:
        """Return the summary of an arm."""
        return next(summary for summary in self.arms if summary.spec == arm)


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What to do.

    Attributes:
        arm: the arm to use, or None where nothing can be recommended.
        sentence: the recommendation, without statistical terms.
        reason: why it is not the arm with the best mean, in one sentence; None where it is, or where there is no recommendation.
    """

    arm: str | None
    sentence: str
    reason: str | None = None


def recommend(basis: Basis) -> Recommendation:
    """Return the recommendation."""
    found, facts, best = basis.findings, basis.facts, basis.best
    refused = _refusal(basis)
    if refused is not None:
        return Recommendation(arm=None, sentence=refused)
    if facts.baseline not in found.compared:
        return _without_baseline(basis)
    if max(basis.of(arm).n for arm in found.compared) == 1:
        sentence = f"Stay with {named(facts.baseline)} for now: one seed cannot tell a real difference from luck; {_run_more(facts)}."
        return Recommendation(arm=facts.baseline, sentence=sentence)
    if found.compared == (facts.baseline,):
        sentence = f"Stay with {named(facts.baseline)}: no other arm could be compared; see the status of each arm."
        return Recommendation(arm=facts.baseline, sentence=sentence)
    return _stay(basis) if facts.baseline in best else _switch(basis)


def _refusal(basis: Basis) -> str | None:
    """Return why nothing can be recommended, or None."""
    found, facts = basis.findings, basis.facts
    if len(facts.arms) == 1 and found.compared:
        return f"Nothing to choose from: {named(facts.arms[0], short=True)} was the only arm; name at least one more activation."
    if not found.compared:
        return "No recommendation: no arm has a result yet, or none could be trained; see the status of each arm."
    if not found.best:
        return "No recommendation: every arm that is left diverged, or all were withdrawn; see the status of each arm."
    if basis.learned.nothing:
        return (
            f"No recommendation: nothing was learned, as no arm's {facts.metric} is clearly better than that of a constant "
            f"prediction ({basis.learned.constant:.4g})."
        )
    if basis.learned.all_identical:
        return (
            f"No recommendation: {all_named(found.compared)} gave identical results on every seed, so this task cannot tell "
            "them apart."
        )
    return None


def _without_baseline(basis: Basis) -> Recommendation:
    found, best = basis.findings, basis.best
    why = f"{named(found.baseline)}, the baseline, is not compared ({_why_left_out(basis, found.baseline)})"
    if len(found.compared) == 1:
        sentence = f"No recommendation: {named(best[0], short=True)} is the only arm with results; {why}."
        return Recommendation(arm=None, sentence=sentence)
    if max(basis.of(arm).n for arm in found.compared) == 1:
        sentence = (
            f"No recommendation: one seed cannot tell a real difference from luck; {_run_more(basis.facts)}; {why}."
        )
        return Recommendation(arm=None, sentence=sentence)
    pick = _pick(basis, best)
    others = [arm for arm in found.compared if arm != pick]
    if len(best) > 1:
        reason = _one_of(basis, pick, best)
    elif all(found.is_better(pick, arm) for arm in others):
        reason = f"it is better than {all_named(others)}"
    else:
        reason = "it is the only arm left"
    return Recommendation(
        arm=pick, sentence=f"Use {named(pick)}: {reason}; {why}.", reason=_why_not_first(basis, pick, best)
    )


def _run_more(facts: StudyFacts) -> str:
    return f"run at least {fewest_rounds(facts.alpha)}"


def _why_left_out(basis: Basis, arm: str) -> str:
    found = basis.findings.of(arm)
    return {
        "not run": "no trial has been run",
        "withdrawn": found.cause or "withdrawn",
    }.get(found.standing, "it has no finite result")


def _stay(basis: Basis) -> Recommendation:
    found, baseline = basis.findings, basis.facts.baseline
    rivals = [arm for arm in basis.best if arm != baseline]
    if not rivals:
        return Recommendation(arm=baseline, sentence=f"Stay with {named(baseline)}: {_alone(basis)}.")
    if all(found.is_equivalent(baseline, rival) for rival in rivals):
        verb = "is" if len(rivals) == 1 else "are"
        same = f"practically the same, within {basis.facts.rope:.3g} of its {basis.facts.metric}"
        return Recommendation(arm=baseline, sentence=f"Stay with {named(baseline)}: {all_named(rivals)} {verb} {same}.")
    tried = "no other activation" if not found.left_out else "no other activation that was compared"
    sentence = f"Stay with {named(baseline)}: {tried} has been shown to be better{_soonest(basis)}."
    return Recommendation(arm=baseline, sentence=sentence)


def _alone(basis: Basis) -> str:
    """Return why the baseline, alone in the best set, stays."""
    found, baseline = basis.findings, basis.facts.baseline
    others = [arm for arm in found.compared if arm != baseline]
    if not all(found.is_better(baseline, arm) for arm in others):
        return "it is the only arm left; see the status of the others"
    if not found.left_out:
        return "it is better than every other activation tried"
    return (
        f"it is better than {all_named(others)}, the {'only other arm' if len(others) == 1 else 'other arms'} compared"
    )


def _soonest(basis: Basis) -> str:
    """Return what would settle the comparison of the baseline that needs the fewest seeds."""
    baseline = basis.facts.baseline
    ties = [tie for tie in basis.ties if tie.seeds_needed and baseline in tie.arms and {*tie.arms} <= {*basis.best}]
    soonest = min(ties, key=lambda tie: tie.seeds_needed or 0, default=None)
    if soonest is None:
        return ""
    rival = next(arm for arm in soonest.arms if arm != baseline)
    return f"; about {plural(soonest.seeds_needed or 0, 'more seed')} would settle how {named(rival)} compares"


def _switch(basis: Basis) -> Recommendation:
    """Return the recommendation where the baseline is ruled out."""
    found, facts, best = basis.findings, basis.facts, basis.best
    better = [arm for arm in best if found.is_better(arm, facts.baseline)]
    gaining = [arm for arm in better if _gains(basis, arm)]
    mattering = [arm for arm in gaining if _matters(basis, arm)]
    if mattering:
        pick = _pick(basis, mattering)
        reasons = [_gain(basis, pick), step_time_text(compare_times(basis.costs, pick, facts.baseline), facts.baseline)]
        if len(best) > 1:
            reasons.insert(0, _one_of(basis, pick, best))
        sentence = (
            f"Switch from {named(facts.baseline)} to {named(pick)}: {listed([reason for reason in reasons if reason])}."
        )
        return Recommendation(arm=pick, sentence=sentence, reason=_why_not_first(basis, pick, best))
    return Recommendation(arm=facts.baseline, sentence=_no_switch(basis, better, gaining))


def _no_switch(basis: Basis, better: Sequence[str], gaining: Sequence[str]) -> str:
    """Return why the baseline stays although it is ruled out."""
    baseline, facts = basis.facts.baseline, basis.facts
    if gaining:
        verb = "is better" if len(gaining) == 1 else "are better"
        limit = f"but on average by less than the {facts.rope:.3g} of {facts.metric} that matters"
        return f"Stay with {named(baseline)}: {all_named(gaining)} {verb}, {limit}."
    if better:
        verb = "was" if len(better) == 1 else "were"
        return (
            f"Stay with {named(baseline)} for now: {all_named(better)} {verb} better when {named(baseline, short=True)} was ruled "
            "out, but not on average over all seeds."
        )
    rival = basis.findings.of(baseline).beaten_by[0]
    return (
        f"Stay with {named(baseline)} for now: {named(rival)}, by which it is ruled out, "
        f"{'was withdrawn' if rival in {arm.arm for arm in basis.findings.left_out} else 'is ruled out too'}, and no arm that is left has "
        "been shown to be better."
    )


def _gains(basis: Basis, arm: str) -> bool:
    """Return whether an arm's mean is better than the baseline's, or it diverged less often."""
    diff, found = basis.of(arm).diff, basis.findings
    if diff is not None and basis.facts.sign * diff.mean > 0:
        return True
    return found.of(arm).diverged < found.of(basis.facts.baseline).diverged


def _matters(basis: Basis, arm: str) -> bool:
    """Return whether the mean difference of an arm that gains is outside the region of equivalence, or it diverged less often."""
    diff, found = basis.of(arm).diff, basis.findings
    is_outside = diff is not None and abs(diff.mean) > (basis.facts.rope or 0.0)
    return is_outside or found.of(arm).diverged < found.of(basis.facts.baseline).diverged


def _gain(basis: Basis, arm: str) -> str:
    diff, baseline = basis.of(arm).diff, basis.facts.baseline
    if diff is None or basis.facts.sign * diff.mean <= 0:
        return f"it diverged on fewer seeds than {named(baseline)}"
    return f"its {basis.facts.metric} is {abs(diff.mean):.2g} {'higher' if diff.mean > 0 else 'lower'} on average"


def _pick(basis: Basis, arms: Sequence[str]) -> str:
    """Return the arm to use: of those that diverged least often, the first whose step is not shown to be slower than another's."""
    fewest = min(basis.findings.of(arm).diverged for arm in arms)
    stable = [arm for arm in arms if basis.findings.of(arm).diverged == fewest]
    return cheapest(basis.costs, stable)


def _one_of(basis: Basis, pick: str, best: Sequence[str]) -> str:
    times = [compare_times(basis.costs, pick, other) for other in best if other != pick]
    is_cheapest = all(ratio is not None and ratio.high < 1 for ratio in times)
    return f"it is {'the cheapest' if is_cheapest else 'one'} of the {len(best)} best ({all_named(best)})"


def _why_not_first(basis: Basis, pick: str, best: Sequence[str]) -> str | None:
    """Return why the first of the best set is not the one to use, or None where it is or has no better mean."""
    first, baseline, found = best[0], basis.facts.baseline, basis.findings
    means = basis.of(first).mean, basis.of(pick).mean
    if pick == first or None in means or basis.facts.sign * ((means[0] or 0.0) - (means[1] or 0.0)) <= 0:
        return None
    lead = f"{capitalized(named(first, short=True))} has the better mean, but the two are not separated"
    if baseline in basis.findings.compared and not basis.findings.is_better(first, baseline):
        return (
            f"{lead}, and only {named(pick, short=True)} is shown to be better than {named(baseline)}."
            if _only(basis, pick, best)
            else (f"{lead}, and {named(first, short=True)} is not shown to be better than {named(baseline)}.")
        )
    if found.of(pick).diverged < found.of(first).diverged:
        return f"{lead}, and {named(first, short=True)} diverged on {plural(found.of(first).diverged, 'seed')}."
    times = compare_times(basis.costs, pick, first)
    if times is not None and times.high < 1:
        return f"{lead}, and with {named(pick)} {step_time_text(times, first)}."
    if baseline in found.compared and not _matters(basis, first):
        return f"{lead}, and the gain of {named(first)} over {named(baseline)} is smaller than matters."
    return f"{lead}."


def _only(basis: Basis, pick: str, best: Sequence[str]) -> bool:
    return [arm for arm in best if basis.findings.is_better(arm, basis.facts.baseline)] == [pick]
