"""Digests that fix the pass rule and the studies of a claim before its first row."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from actlab.functions.grammar import parse
from actlab.functions.name_index import defining_files
from actlab.studies.claims.claim import Claim, ClaimStudy
from actlab.studies.claims.claim_files import claim_file
from actlab.studies.claims.function_code import code_through_modules, function_code, function_files
from actlab.studies.plan import Plan, make_plan
from actlab.tasks import resolve

__all__ = ["Registration", "code_files", "register"]


@dataclass(frozen=True, kw_only=True)
class Registration:
    """Digests of a claim at one time.

    Attributes:
        rule: of the parts and the error rate.
        studies: by key, of the plan (task, arms, formulas, init policy, tuning, axes) and of the code that defines the task.
        modules: by key, of the further code that is reached by names of modules, such as ``digits.splits``, for studies that have any. It
            is no part of ``studies``, because the first registrations do not have it; they are not held against it.
    """

    rule: str
    studies: dict[str, str]
    modules: dict[str, str] = field(default_factory=dict)

    def changes(self, earlier: Registration) -> list[str]:
        """Return what differs from an earlier registration, in words; empty where nothing does.

        Example:
            >>> Registration(rule="a", studies={"main": "b"}).changes(Registration(rule="a", studies={"main": "c"}))
            ['the plan or the code of the study main']
        """
        found = ["the pass rule"] if self.rule != earlier.rule else []
        keys = dict.fromkeys([*earlier.studies, *self.studies])
        return found + [
            f"the plan or the code of the study {key}"
            for key in keys
            if self.studies.get(key) != earlier.studies.get(key)
            or earlier.modules.get(key) not in {None, self.modules.get(key)}
        ]


def register(claim: Claim) -> Registration:
    """Return the digests of a claim as it is now. The numbers of seeds are not in it, since the tests are valid after every seed.

    Raises:
        ActlabError: a study has no valid plan.
    """
    rule = {"alpha": claim.alpha, "parts": [part.rule() for part in claim.parts]}
    found = {key: _study_digests(study) for key, study in sorted(claim.studies.items())}
    return Registration(
        rule=_digest(rule),
        studies={key: study for key, (study, _) in found.items()},
        modules={key: modules for key, (_, modules) in found.items() if modules},
    )


def _study_digests(study: ClaimStudy) -> tuple[str, str]:
    """Return the digest of a study, and that of the code that it reaches by names of modules, empty where there is none."""
    task = resolve(study.task)
    plan = make_plan(task, study.arms, seeds=1, **study.options())
    own = task.file is not None  # its code is part of the plan
    functions = (*(() if own else vars(task).values()), *_tensor_code(plan))
    modules = code_through_modules(*functions)
    return _digest({"plan": plan.identity(), "code": function_code(*functions)}), _digest(modules) if modules else ""


def code_files(claim: Claim) -> set[str]:
    """Return the paths of the files of ActLab on which the registration of a shipped claim depends, with that of the claim."""
    files = {file for part in claim.parts if part.exact is not None for file in function_files(part.exact.compute)}
    for study in claim.studies.values():
        task = resolve(study.task)
        plan = make_plan(task, study.arms, seeds=1, **study.options())
        files |= function_files(*vars(task).values(), *_tensor_code(plan))
        files |= defining_files(name.lstrip("/").removesuffix(" with its cutoff") for name, _ in plan.definitions)
    return files | {claim_file(claim.name)}


def _tensor_code(plan: Plan) -> list[Any]:
    """Return the functions of arms that have no formula, in whose place the plan has only their name."""
    records = [parse(spec).activation for arm in plan.arms for spec in arm.specs()]
    return [record.tensor_code for record in records if record.tensor_code is not None]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
