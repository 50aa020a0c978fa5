"""Workbench for activation functions in PyTorch.

It answers which activation function a model should use, what that costs, and how certain the answer is.

    import actlab

    actlab.layer("gelu")                                   # any activation as a module
    actlab.swap_(model, "mish", example_inputs=x)          # in place, with .undo()
    actlab.slim_(model, example_inputs=x)                  # the same function, less memory in training
    study = actlab.compare("digits", ["relu", "gelu"], seeds=8)
    print(study.verdict().recommendation)

Names are loaded on first use, so that ``import actlab`` is fast and ``actlab --help`` does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from actlab.functions import spec_objects
from actlab.system import display

if TYPE_CHECKING:
    from actlab.bench.crossover import calibrate
    from actlab.bench.hardware import measure_hardware
    from actlab.diagnostics.axes.evaluate import evaluate
    from actlab.diagnostics.cost import cost
    from actlab.diagnostics.doctor import doctor
    from actlab.diagnostics.importance import importance
    from actlab.errors import ActlabError
    from actlab.evaluate.audit.audit import audit
    from actlab.evaluate.audit.finding import DataAudit
    from actlab.evaluate.axis import axis
    from actlab.export.conform.conform import conform
    from actlab.export.front import export
    from actlab.functions.activation import Activation, Claims, Learned, activation, get, learned, names
    from actlab.functions.analysis.facts import facts, gain
    from actlab.functions.grammar import parse
    from actlab.functions.rule import Rule, get_rule, rule, rules
    from actlab.nn import recipes as recipes
    from actlab.nn.layers.act_linear import ActLinear, GLULinear
    from actlab.nn.layers.layer import layer
    from actlab.nn.layers.mixed import mixed
    from actlab.nn.probes.learned_curves import Shapes, shapes
    from actlab.nn.probes.probe import Probe, probe
    from actlab.nn.probes.propagation import propagation
    from actlab.nn.sites.find import find
    from actlab.nn.transforms.batchnorm_statistics import recalibrate_
    from actlab.nn.transforms.fast import fast
    from actlab.nn.transforms.init import init_
    from actlab.nn.transforms.linearize import linearise_
    from actlab.nn.transforms.morph.finetune import morph_
    from actlab.nn.transforms.morph.morph import Morph
    from actlab.nn.transforms.morph.relufy import relufy_
    from actlab.nn.transforms.slim import slim_
    from actlab.nn.transforms.swap import swap_
    from actlab.published.lint import lint
    from actlab.report.content.arm_table import table
    from actlab.script import apply_, report
    from actlab.study import Study, compare, latest_study, list_studies, load_study
    from actlab.system.allocator import tune_allocator
    from actlab.tasks.data import Data, Split
    from actlab.tasks.scripts.script import Script
    from actlab.tasks.task import Task

__version__ = "0.1.0"

_MODULES = {
    "ActLinear": "nn.layers.act_linear",
    "Activation": "functions.activation",
    "ActlabError": "errors",
    "Claims": "functions.activation",
    "Data": "tasks.data",
    "DataAudit": "evaluate.audit.finding",
    "GLULinear": "nn.layers.act_linear",
    "Learned": "functions.activation",
    "Morph": "nn.transforms.morph.morph",
    "Rule": "functions.rule",
    "Probe": "nn.probes.probe",
    "Shapes": "nn.probes.learned_curves",
    "Script": "tasks.scripts.script",
    "Split": "tasks.data",
    "Study": "study",
    "Task": "tasks.task",
    "activation": "functions.activation",
    "apply_": "script",
    "audit": "evaluate.audit.audit",
    "axis": "evaluate.axis",
    "calibrate": "bench.crossover",
    "compare": "study",
    "conform": "export.conform.conform",
    "cost": "diagnostics.cost",
    "doctor": "diagnostics.doctor",
    "evaluate": "diagnostics.axes.evaluate",
    "facts": "functions.analysis.facts",
    "fast": "nn.transforms.fast",
    "find": "nn.sites.find",
    "gain": "functions.analysis.facts",
    "get": "functions.activation",
    "get_rule": "functions.rule",
    "importance": "diagnostics.importance",
    "init_": "nn.transforms.init",
    "latest_study": "study",
    "layer": "nn.layers.layer",
    "learned": "functions.activation",
    "linearise_": "nn.transforms.linearize",
    "lint": "published.lint",
    "list_studies": "study",
    "load_study": "study",
    "measure_hardware": "bench.hardware",
    "mixed": "nn.layers.mixed",
    "morph_": "nn.transforms.morph.finetune",
    "names": "functions.activation",
    "parameter_groups": "nn.training.parameter_groups",
    "parse": "functions.grammar",
    "report": "script",
    "rule": "functions.rule",
    "rules": "functions.rule",
    "probe": "nn.probes.probe",
    "propagation": "nn.probes.propagation",
    "shapes": "nn.probes.learned_curves",
    "recalibrate_": "nn.transforms.batchnorm_statistics",
    "relufy_": "nn.transforms.morph.relufy",
    "slim_": "nn.transforms.slim",
    "swap_": "nn.transforms.swap",
    "table": "report.content.arm_table",
    "tune_allocator": "system.allocator",
}

__all__ = [
    "ActLinear",
    "Activation",
    "ActlabError",
    "Claims",
    "Data",
    "DataAudit",
    "GLULinear",
    "Learned",
    "Morph",
    "Probe",
    "Rule",
    "Script",
    "Shapes",
    "Split",
    "Study",
    "Task",
    "__version__",
    "activation",
    "apply_",
    "audit",
    "axis",
    "calibrate",
    "compare",
    "conform",
    "cost",
    "doctor",
    "evaluate",
    "export",
    "facts",
    "fast",
    "find",
    "gain",
    "get",
    "get_rule",
    "importance",
    "init_",
    "latest_study",
    "layer",
    "learned",
    "linearise_",
    "lint",
    "list_studies",
    "load_study",
    "measure_hardware",
    "mixed",
    "morph_",
    "names",
    "parameter_groups",
    "parse",
    "probe",
    "propagation",
    "recalibrate_",
    "relufy_",
    "report",
    "rule",
    "rules",
    "shapes",
    "slim_",
    "swap_",
    "table",
    "tune_allocator",
]


# The rooms that render results are above the records they render; this file is above both.
_RENDERERS = {
    "text": ("report.terminal.result", "text"),
    "html": ("report.html.result", "html"),
    "table": ("report.content.arm_table", "table"),
    "count": ("report.terminal.progress", "chosen_count"),
}
display.bind(lambda form: getattr(import_module(f"actlab.{_RENDERERS[form][0]}"), _RENDERERS[form][1]))
# A spec may be a module or a function of torch, which functions/ does not import.
spec_objects.bind(
    lambda value: import_module("actlab.nn.recognised_spec").recognised_spec(value),
    lambda value: import_module("actlab.nn.own_activation").own_spec(value),
)


def __getattr__(name: str) -> Any:
    if name == "integrations":  # actlab.integrations.register()
        return import_module("actlab.integrations")
    if name == "export":  # actlab.export(...), and the package's modules
        return import_module("actlab.export")
    if name == "recipes":  # actlab.recipes.binary(...)
        return import_module("actlab.nn.recipes")
    if name not in _MODULES:
        raise AttributeError(f"module 'actlab' has no attribute {name!r}; it has {', '.join(sorted(_MODULES))}")
    value = getattr(import_module(f"actlab.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
