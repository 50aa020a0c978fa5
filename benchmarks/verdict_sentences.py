"""Check of every sentence of a verdict against an independent reading of the rows, over simulated studies.

    python -m benchmarks.verdict_sentences [--studies 5000] [--seed 0] [--show 5]

Each sentence is taken apart by a pattern; a sentence that no pattern fits is wrong. What it says (which arms are better, compared, ruled
out, withdrawn or equivalent, by how much, at what cost, on how many seeds) is then compared with the rows, which are read here without
the code of `actlab.studies.verdict` (`benchmarks.study_reading`). Only the race itself (`actlab.stats.racing.Race`), whose decisions have
their own tests, is shared.
"""
# ruff: noqa: ARG001, ARG005 every check takes the match, the reading and the verdict

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
from benchmarks.simulated_studies import Simulated, simulate
from benchmarks.study_reading import Reading

from actlab.report.content.verdict import best_set_sentence, confidence_sentences, headline_gain
from actlab.studies.verdict.verdict import Verdict, make_verdict

__all__ = ["wrong_sentences"]


def _names(text: str, read: Reading) -> list[str]:
    """Return the arms in a list such as "a, b and c", whose names may contain commas; wrong if one is unknown."""
    found, rest = _leading_names(text, read)
    if rest or not found:
        raise ValueError(text)
    return found


def _leading_names(text: str, read: Reading) -> tuple[list[str], str]:
    """Return the arms at the start of a text, and the rest."""
    found = []
    while name := next((arm for arm in sorted(read.facts.arms, key=len, reverse=True) if text.startswith(arm)), None):
        found.append(name)
        text = text[len(name) :]
        if not re.match(r"(, | and )(?!its |it |a training)", text):
            break
        text = re.sub(r"^(, | and )", "", text)
    return found, text


def _step_time(text: str, one: str, other: str, read: Reading) -> bool:
    times = read.times(one, other)
    if times is None:
        return False
    ratio, low, high = times
    if "as long as" in text:
        return low >= 0.98 and high <= 1.02
    if match := re.search(r"takes ([\d.]+) times as long", text):
        return low > 1 and abs(float(match[1]) - ratio) < 0.06
    match = re.search(r"takes (\d+)% (longer|less time)", text)
    if match is None:
        return False
    right = low > 1 if match[2] == "longer" else high < 1
    return right and abs(float(match[1]) - 100 * abs(ratio - 1)) < 0.51


def _reasons(text: str, pick: str, read: Reading, verdict: Verdict) -> bool:
    """Check the reasons of a switch or of a use: one of the best, the gain, the price."""
    rest = text
    if match := re.match(r"it is (one|the cheapest) of the (\d+) best \(", rest):
        names, rest = _leading_names(rest[match.end() :], read)
        if not rest.startswith(")"):
            return False
        rest = re.sub(r"^\)(, | and )?", "", rest)
        if set(names) != read.best or len(names) != int(match[2]) or pick not in names:
            return False
        others = [read.times(pick, other) for other in names if other != pick]
        if match[1] == "the cheapest" and not all(times is not None and times[2] < 1 for times in others):
            return False
    elif len(read.best) > 1:
        return False
    if match := re.match(r"its (\S+) is (\S+) (higher|lower) on average(?: and |$)", rest):
        difference = read.difference(pick, read.facts.baseline)
        if difference is None or read.sign * difference <= 0 or match[2] != f"{abs(difference):.2g}":
            return False
        if match[3] != ("higher" if difference > 0 else "lower"):
            return False
        rest = rest[match.end() :]
    elif match := re.match(rf"it diverged on fewer seeds than {re.escape(read.facts.baseline)}(?: and |$)", rest):
        if not len(read.lost[pick]) < len(read.lost[read.facts.baseline]):
            return False
        rest = rest[match.end() :]
    return not rest or (rest.startswith("a training step") and _step_time(rest, pick, read.facts.baseline, read))


Check = Callable[[re.Match[str], Reading, Verdict], bool]


def _switch(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    base, pick = match["base"], match["pick"]
    right = base == read.facts.baseline and pick in read.best and base in read.out and read.is_better(pick, base)
    right = right and _matters(pick, read, verdict)
    return right and verdict.recommended == pick and _reasons(match["why"], pick, read, verdict)


def _better_than_all(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    base, others = match["base"], set(read.facts.arms) - {match["base"]}
    return read.best == {base} and others <= read.out and all(read.is_better(base, arm) for arm in others)


def _better_than_listed(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    base, names = match["base"], set(_names(match["names"], read))
    right = read.best == {base} and names == read.compared - {base} and all(read.is_better(base, it) for it in names)
    return right and set(read.facts.arms) != read.compared


def _same(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    base, names = match["base"], _names(match["names"], read)
    width = float(match["rope"])
    near = all(abs(read.difference(it, base) or 0.0) <= 1.01 * width + 1e-12 for it in names)
    return set(names) == read.best - {base} and base in read.best and near


def _not_shown(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    if match["base"] not in read.best or len(read.compared) < 2:
        return False
    if not match["compared"] and read.compared != set(read.facts.arms):
        return False
    return match["rival"] is None or (
        match["rival"] in read.best and match["rival"] != match["base"] and not read.is_over
    )


def _less_than_matters(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    base, names = match["base"], _names(match["names"], read)
    means = {it: read.difference(it, base) for it in names}
    small = all(mean is None or abs(mean) <= 1.01 * float(match["rope"]) for mean in means.values())
    return base in read.out and {*names} <= read.best and small and all(read.is_better(it, base) for it in names)


def _no_longer(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    base, names = match["base"], _names(match["names"], read)
    means = [read.difference(it, base) for it in names]
    worse = all(mean is None or read.sign * mean <= 0 for mean in means)
    return base in read.out and {*names} <= read.best and worse and all(read.is_better(it, base) for it in names)


def _rival_gone(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    base, rival = match["base"], match["rival"]
    if base not in read.out or read.state.eliminated[base].rival != rival or rival in read.best:
        return False
    return (rival in read.withdrawn) == (match["gone"] == "was withdrawn")


def _use(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    pick, base, why = match["pick"], match["base"], match["why"]
    if base != read.facts.baseline or base in read.compared or pick not in read.best or len(read.compared) < 2:
        return False
    if why.startswith("it is better than "):
        names = set(_names(why.removeprefix("it is better than "), read))
        return names == read.compared - {pick} and all(read.is_better(pick, it) for it in names)
    return read.best == {pick} if why == "it is the only arm left" else _reasons(why, pick, read, verdict)


def _most(read: Reading) -> int:
    return max((len(read.results[arm]) for arm in read.compared), default=0)


def _learned_nothing(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    known = {(row["arm"], row["seed"]): row["controls"]["constant"] for row in read.rows if row.get("controls")}
    width = verdict.rope + 1e-9
    for arm in read.compared:
        gains = [
            read.sign * (value - known[arm, seed]) for seed, value in read.results[arm].items() if (arm, seed) in known
        ]
        noise = np.std(gains, ddof=1) / len(gains) ** 0.5 if len(gains) >= 5 else 0.0
        if not gains or np.mean(gains) > max(width, noise):
            return False
    return bool(read.compared)


def _identical(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    names = _names(match["names"], read)
    pairs = [(one, other) for one in names for other in names]
    shared = [(one, other, s) for one, other in pairs for s in read.results[one].keys() & read.results[other].keys()]
    alone = any(read.lost[one] & read.results[other].keys() for one, other in pairs)
    return (
        set(names) <= read.compared
        and not alone
        and all(read.results[one][s] == read.results[other][s] for one, other, s in shared)
    )


RECOMMENDATIONS: dict[str, Check] = {
    r"Switch from (?P<base>.+?) to (?P<pick>.+?): (?P<why>it.*)\.": _switch,
    r"Stay with (?P<base>.+?): it is better than every other activation tried\.": _better_than_all,
    r"Stay with (?P<base>.+?): it is better than (?P<names>.+), the (only other arm|other arms) compared\.": _better_than_listed,
    r"Stay with (?P<base>.+?): it is the only arm left; see the status of the others\.": lambda m, r, v: (
        r.best == {m["base"]}
    ),
    r"Stay with (?P<base>.+?): (?P<names>.+) (is|are) practically the same, within (?P<rope>\S+) of its \S+\.": _same,
    r"Stay with (?P<base>.+?): no other activation(?P<compared> that was compared)? has been shown to be better"
    r"(; about \d+ more seeds? would settle how (?P<rival>.+) compares)?\.": _not_shown,
    r"Stay with (?P<base>.+?): no other arm could be compared; see .*": lambda m, r, v: r.compared == {m["base"]},
    r"Stay with (?P<base>.+?) for now: one seed cannot .*": lambda m, r, v: m["base"] in r.compared and _most(r) == 1,
    r"Stay with (?P<base>.+?): (?P<names>.+) (is|are) better, but on average by less than the (?P<rope>\S+) of \S+ that "
    r"matters\.": _less_than_matters,
    r"Stay with (?P<base>.+?) for now: (?P<names>.+) (was|were) better when .+ was ruled out, but not on average over "
    r"all seeds\.": _no_longer,
    r"Stay with (?P<base>.+?) for now: (?P<rival>.+), by which it is ruled out, (?P<gone>was withdrawn|is ruled out "
    r"too), and no arm that is left has been shown to be better\.": _rival_gone,
    r"Use (?P<pick>.+?): (?P<why>it is .+); (?P<base>.+), the baseline, is not compared \(.*\)\.": _use,
    r"Nothing to choose from: (?P<pick>.+) was the only arm; .*": lambda m, r, v: r.facts.arms == (m["pick"],),
    r"No recommendation: no arm has a result yet, .*": lambda m, r, v: not r.compared,
    r"No recommendation: every arm that is left diverged, .*": lambda m, r, v: not r.best,
    r"No recommendation: (?P<pick>.+) is the only arm with results; .*": lambda m, r, v: r.compared == {m["pick"]},
    r"No recommendation: one seed cannot .*": lambda m, r, v: _most(r) == 1 and r.facts.baseline not in r.compared,
    r"No recommendation: nothing was learned, .*": _learned_nothing,
    r"No recommendation: (?P<names>.+) gave identical results on every seed, .*": _identical,
}


def _fits(text: str, table: dict[str, Check], read: Reading, verdict: Verdict) -> bool:
    """Return whether a pattern fits the sentence, and what the first such pattern says is true."""
    base = f"(?P<base>{re.escape(read.facts.baseline)})"
    for pattern, check in table.items():
        pattern = re.sub(r"\(\?P<base>\.\+\??\)", lambda _: base, pattern)  # noqa: PLW2901 the same pattern, filled in
        if match := re.fullmatch(pattern, text):
            try:
                return check(match, read, verdict)
            except ValueError:  # the pattern took parts of names for words
                continue
    return False


def _matters(arm: str, read: Reading, verdict: Verdict) -> bool:
    """Return whether both arm and baseline are compared, and the mean difference is outside the region, or the arm diverged less often."""
    base = read.facts.baseline
    difference = read.difference(arm, base)
    is_outside = difference is not None and abs(difference) > verdict.rope
    return base in read.compared and (is_outside or len(read.lost[arm]) < len(read.lost[base]))


def _reason_is_right(text: str, read: Reading, verdict: Verdict) -> bool:
    first, pick = verdict.best_set[0], verdict.recommended
    lead = f"{first} has the better mean, but the two are not separated"
    if pick is None or not text.startswith(lead):
        return False
    if read.sign * (read.mean(first) - read.mean(pick)) <= 0 or not {first, pick} <= read.best:
        return False
    rest = text.removeprefix(lead).removesuffix(".").removeprefix(", and ")
    base = read.facts.baseline
    if rest == f"only {pick} is shown to be better than {base}":
        return read.is_better(pick, base)
    if rest == f"{first} is not shown to be better than {base}":
        return base in read.compared
    if match := re.fullmatch(rf"{re.escape(first)} diverged on (\d+) seeds?", rest):
        return int(match[1]) == len(read.lost[first]) > len(read.lost[pick])
    if rest.startswith(f"with {pick} a training step"):
        return _step_time(rest, pick, first, read) and (rest.endswith("less time"))
    if rest:
        return rest == f"the gain of {first} over {base} is smaller than matters" and not _matters(first, read, verdict)
    return base not in read.compared or _matters(first, read, verdict)


def _best_set_is_right(text: str, read: Reading) -> bool:
    left_out = [arm for arm in read.facts.arms if arm not in read.compared]
    named = text.partition(" Not compared: ")[2]
    if bool(left_out) != bool(named) or not all(f"{arm} (" in named for arm in left_out):
        return False
    head, compared = text.partition(" Not compared: ")[0], len(read.compared)
    if compared == 0:
        return head == "No arm has a result to compare."
    if compared == 1:
        return head == f"Only {next(iter(read.compared))} has a result: nothing was compared."
    arms = f"{compared} arms" if not left_out else f"{compared} arms that were compared"
    head = re.sub(r"^At an error rate of \d+%, ", "", head)
    if head == f"none of the {arms} is ruled out.":
        return len(read.best) == compared
    rest = "the other is" if compared - len(read.best) == 1 else "the others are"
    if match := re.fullmatch(rf"(.+) is the best of {arms}; {rest} ruled out\.", head):
        others = read.compared - {match[1]}
        return read.best == {match[1]} and others <= read.out and all(read.is_better(match[1], it) for it in others)
    match = re.fullmatch(rf"(\d+) of {arms} may be the best; {rest} ruled out\.", head)
    return match is not None and int(match[1]) == len(read.best) < compared and read.compared - read.best <= read.out


def _listed_as_short(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    parts = re.sub(r" and \d+ more arms?$", "", match["arms"])
    entries = re.findall(r"(\d+) of (\d+)(?:, |$)", parts)
    counts = {(len(read.results[a]) + len(read.lost[a]) + len(read.failed[a])) for a in read.facts.arms}
    return all(int(ended) in counts and int(of) == len(read.facts.seeds) and ended != of for ended, of in entries)


def _failures(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    arm, count = match["arm"], int(match["count"])
    return arm in read.facts.arms and count == len(read.failed[arm]) > 0


def _far(match: re.Match[str], read: Reading, verdict: Verdict) -> bool:
    arm, shown = match["arm"], re.findall(r"seed (\d+): ([^,)]+)", match["shown"])
    rivals = [read.results[it] for it in read.compared - {arm}]
    gaps = {
        s: value - np.median([it[s] for it in rivals if s in it])
        for s, value in read.results[arm].items()
        if any(s in it for it in rivals)
    }
    away = {s: abs(gap - np.median(list(gaps.values()))) for s, gap in gaps.items()}
    limit = 8 * float(np.sort(list(away.values()))[: len(away) // 2].max())
    right = all(f"{read.results[arm][int(s)]:.4g}" == value and away[int(s)] > limit for s, value in shown)
    return right and arm in read.compared and min(3, int(match["n"])) == len(shown) > 0


WARNINGS: dict[str, Check] = {
    r"(?P<arm>.+) is much farther from the other arms on (?P<n>\d+) seeds? \((?P<shown>.*)\) than on the rest\. .*": _far,
    r"One seed: .*": lambda m, r, v: _most_ended(r) == 1,
    r"Only (?P<n>\d+) seeds: no difference can be shown with fewer than (?P<least>\d+)\.": lambda m, r, v: (
        not r.out and _most_ended(r) == int(m["n"]) < int(m["least"]) < 1 + np.log2(2 / r.facts.alpha)
    ),
    r"Unfinished: .* \((?P<arms>.*)\)\.": _listed_as_short,
    r"Time-boxed: .* \((?P<arms>.*)\)\.": lambda m, r, v: r.facts.budget_hit and _listed_as_short(m, r, v),
    r"(?P<arm>.+) is excluded: (?P<count>\d+) trials? failed \(.*\)\.": lambda m, r, v: (
        _failures(m, r, v) and m["arm"] in r.withdrawn and not any(arm == m["arm"] for arm, _ in r.again)
    ),
    r"(?P<arm>.+) is excluded for now: (?P<count>\d+) trials? failed \(.*\); the same command runs it again\.": lambda m, r, v: (
        _failures(m, r, v) and m["arm"] in r.withdrawn and any(arm == m["arm"] for arm, _ in r.again)
    ),
    r"(?P<arm>.+) has a failure that does not count in the comparison: (?P<count>\d+) trials? failed \(.*\)\.": lambda m, r, v: (
        _failures(m, r, v) and m["arm"] not in r.withdrawn
    ),
    r"(?P<arm>.+?) diverged on (?P<n>\d+) of (?P<of>\d+) seeds?(?P<count>; those count as lost)?\.": lambda m, r, v: (
        len(r.lost[m["arm"]]) == int(m["n"])
        and bool(m["count"]) != (m["arm"] in r.withdrawn)
        and int(m["of"]) == len(r.results[m["arm"]]) + len(r.lost[m["arm"]]) + len(r.failed[m["arm"]])
    ),
    r"Nothing was learned by (?P<names>.+?): .*": lambda m, r, v: {*_names(m["names"], r)} <= r.compared,
    r"(?P<names>.+) gave identical results on every seed: .*": _identical,
    r"The learning rate was not tuned: .*": lambda m, r, v: not _tuned(r),
    r"The learning rate was tuned for (?P<names>.+) only: .*": lambda m, r, v: {*_names(m["names"], r)} == _tuned(r),
}


def _most_ended(read: Reading) -> int:
    return max(len(read.results[arm]) + len(read.lost[arm]) for arm in read.facts.arms)


def _tuned(read: Reading) -> set[str]:
    return {row["arm"] for row in read.rows if row["stage"] == "tune"}


def wrong_sentences(study: Simulated) -> Iterator[str]:
    """Yield each sentence, set or status of the study's verdict that its rows do not bear out."""
    verdict, read = make_verdict(study.rows, study.facts, study.costs), Reading.of(study)
    if set(verdict.best_set) != read.best:
        yield f"best set {verdict.best_set}, read {sorted(read.best)}"
    if not _fits(verdict.recommendation, RECOMMENDATIONS, read, verdict):
        yield verdict.recommendation
    if verdict.reason is not None and not _reason_is_right(verdict.reason, read, verdict):
        yield verdict.reason
    if not _best_set_is_right(best_set_sentence(verdict), read):
        yield best_set_sentence(verdict)
    yield from (text for text in verdict.warnings if not _fits(text, WARNINGS, read, verdict))
    yield from _other_sentences(verdict, read)


def _other_sentences(verdict: Verdict, read: Reading) -> Iterator[str]:
    closest = verdict.closest
    if closest is not None and (read.is_over or not {*closest.arms} <= read.best | {read.facts.baseline}):
        yield confidence_sentences(verdict)[-1]
    for tie in verdict.ties:
        if not {*tie.arms} <= read.compared:
            yield f"tie {tie.arms}"
    name, value, _ = headline_gain(verdict)
    if "ompared with" in name and read.facts.baseline not in read.compared:
        yield f"{name} {value}"
    for arm in verdict.arms:
        standing = {"failed": arm.spec in read.withdrawn, "interrupted": arm.spec in read.withdrawn}
        standing |= {"eliminated": arm.spec in read.out, "completed": arm.spec in read.best, "not_run": True}
        if not standing.get(arm.status, bool(read.lost[arm.spec])):
            yield f"status of {arm.spec}: {arm.status}"


def main() -> None:
    """Print how many of the simulated studies have a wrong sentence, and the first of these."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=5)
    options = parser.parse_args()
    started, kinds, wrong = time.process_time(), Counter[str](), []
    for seed in range(options.seed, options.seed + options.studies):
        study = simulate(seed)
        said = make_verdict(study.rows, study.facts, study.costs).recommendation
        kinds[next((name for name in RECOMMENDATIONS if re.fullmatch(name, said)), said)] += 1
        wrong += [(seed, text) for text in wrong_sentences(study)]
    for name, count in kinds.most_common():
        plain = re.sub(r"\(\?P<(.*?)>.*?\)", r"<\1>", name)
        print(f"{count:6}  {plain[:110]}")
    print(
        f"{options.studies} studies, {len({seed for seed, _ in wrong})} with a wrong sentence, {time.process_time() - started:.0f} s"
    )
    for seed, text in wrong[: options.show]:
        print(f"study {seed}: {text}")


if __name__ == "__main__":
    main()
