"""Target of convergence that is fixed when a study begins."""

from __future__ import annotations

from dataclasses import replace

from actlab.errors import StoreError
from actlab.studies.store.store import Store, StoredStudy
from actlab.studies.target import TargetChoice
from actlab.system.plural import plural

__all__ = ["fix_target"]


def fix_target(store: Store, stored: StoredStudy, chosen: TargetChoice) -> TargetChoice:
    """Store how a study comes to its target when it begins, and return it, or what was stored then.

    A study that goes on without a target, as one of an earlier build, takes a given one as an estimate. One that goes on with enough seeds
    for a pilot trial gets its target from that as if it had begun with them: the target depends on no other trial.

    Args:
        store: the store.
        stored: the study.
        chosen: what is asked for.

    Raises:
        StoreError: another target is asked for than was fixed.
    """
    before, asked = store.facts(stored.id).get("target"), chosen.target
    known, count = TargetChoice.from_fact(before), store.count(stored.id)
    if known.target is not None or known.by_pilot:
        if asked is not None and (known.target is None or not known.target.is_same(asked)):
            fixed = "follows from a trial of its baseline" if known.target is None else f"is {known.target}"
            raise StoreError(
                f"The target of the study {stored.name!r} {fixed}, fixed when it began; {asked} was asked for. A target chosen when "
                "results are known proves nothing: omit --target, or choose another --name for a new study."
            )
        return known
    if count and asked is None and not known.for_few_seeds:
        return known  # of an earlier build, which goes on without
    if count and asked is not None:
        rule = f"given when {plural(count, 'trial')} of the study had ended"
        chosen = replace(chosen, target=replace(asked, rule=rule, began=True))
    store.set_fact(stored.id, "target", chosen.to_fact())
    return chosen
