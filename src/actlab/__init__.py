"""ActLab: which activation function should my model use, what will it cost, and how sure are we?

    import actlab

    actlab.layer("gelu")                                   # any activation as a module
    actlab.swap_(model, "mish", example_inputs=x)          # in place, with .undo()
    actlab.slim_(model, example_inputs=x)                  # the same function, less memory in training
    study = actlab.compare("digits", ["relu", "gelu"], seeds=8)
    print(study.verdict().recommendation)

Names are loaded when first used, so that ``import actlab`` is quick and ``actlab --help`` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actlab.errors import ActlabError
    from actlab.functions.activation import Activation, Claims, Learned, activation, get, learned, names
    from actlab.functions.facts import facts, gain
    from actlab.functions.rule import Rule, get_rule, rule, rules
    from actlab.functions.spec import parse
    from actlab.models import recipes as recipes
    from actlab.models.act_linear import ActLinear, GLULinear
    from actlab.models.fast import fast
    from actlab.models.init import init_
    from actlab.models.layer import layer
    from actlab.models.linearise import linearise_
    from actlab.models.mixed import mixed
    from actlab.models.morph import Morph
    from actlab.models.probe import Probe, probe
    from actlab.models.propagation import propagation
    from actlab.models.recalibrate import recalibrate_
    from actlab.models.recovery import morph_
    from actlab.models.relufy import relufy_
    from actlab.models.shapes import Shapes, shapes
    from actlab.models.sites import find
    from actlab.models.slim import slim_
    from actlab.models.swap import swap_
    from actlab.studies.allocator import tune_allocator
    from actlab.studies.calibration import calibrate
    from actlab.studies.checkup import doctor
    from actlab.studies.importance import importance
    from actlab.studies.study import Study, compare, list_studies, load_study
    from actlab.tasks.task import Data, Split, Task

__version__ = "0.1.0"

_HOME = {
    "ActLinear": "models.act_linear",
    "Activation": "functions.activation",
    "ActlabError": "errors",
    "Claims": "functions.activation",
    "Data": "tasks.task",
    "GLULinear": "models.act_linear",
    "Learned": "functions.activation",
    "Morph": "models.morph",
    "Rule": "functions.rule",
    "Probe": "models.probe",
    "Shapes": "models.shapes",
    "Split": "tasks.task",
    "Study": "studies.study",
    "Task": "tasks.task",
    "activation": "functions.activation",
    "calibrate": "studies.calibration",
    "compare": "studies.study",
    "doctor": "studies.checkup",
    "facts": "functions.facts",
    "fast": "models.fast",
    "find": "models.sites",
    "gain": "functions.facts",
    "get": "functions.activation",
    "get_rule": "functions.rule",
    "importance": "studies.importance",
    "init_": "models.init",
    "layer": "models.layer",
    "learned": "functions.activation",
    "linearise_": "models.linearise",
    "list_studies": "studies.study",
    "load_study": "studies.study",
    "mixed": "models.mixed",
    "morph_": "models.recovery",
    "names": "functions.activation",
    "parse": "functions.spec",
    "rule": "functions.rule",
    "rules": "functions.rule",
    "probe": "models.probe",
    "propagation": "models.propagation",
    "shapes": "models.shapes",
    "recalibrate_": "models.recalibrate",
    "relufy_": "models.relufy",
    "slim_": "models.slim",
    "swap_": "models.swap",
    "tune_allocator": "studies.allocator",
}

__all__ = [
    "ActLinear",
    "Activation",
    "ActlabError",
    "Claims",
    "Data",
    "GLULinear",
    "Learned",
    "Morph",
    "Probe",
    "Rule",
    "Shapes",
    "Split",
    "Study",
    "Task",
    "__version__",
    "activation",
    "calibrate",
    "compare",
    "doctor",
    "facts",
    "fast",
    "find",
    "gain",
    "get",
    "get_rule",
    "importance",
    "init_",
    "layer",
    "learned",
    "linearise_",
    "list_studies",
    "load_study",
    "mixed",
    "morph_",
    "names",
    "parse",
    "probe",
    "propagation",
    "recalibrate_",
    "relufy_",
    "rule",
    "rules",
    "shapes",
    "slim_",
    "swap_",
    "tune_allocator",
]


def __getattr__(name: str) -> Any:
    if name == "integrations":  # a room of its own: actlab.integrations.register()
        return import_module("actlab.integrations")
    if name == "recipes":  # actlab.recipes.binary(...)
        return import_module("actlab.models.recipes")
    if name not in _HOME:
        raise AttributeError(f"module 'actlab' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    value = getattr(import_module(f"actlab.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
