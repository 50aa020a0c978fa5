"""Configs of transformers models that say which activation runs, after a swap and at saving.

``from_pretrained`` builds a model from its config, so that a swapped model would come back with its old functions and the new weights. A
swap therefore writes the new function into the config, where one entry stands for exactly the sites that were swapped; which sites an
entry stands for is found by building the model from the config, on the meta device. ``undo()`` restores the entry. Where no entry can say
what runs, because sites differ or the function is written into the model's code, ``save_pretrained`` warns.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any

import torch
from torch import nn

from actlab.errors import ActlabError
from actlab.functions.grammar import parse
from actlab.integrations import transformers
from actlab.integrations.entry import is_ours, refusal
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.blend import Blend
from actlab.nn.sites.find import find
from actlab.nn.sites.slot import edits_of, original_class

__all__ = ["ConfigReplacement", "differences", "replacements"]

_OTHERS = ("tanh", "relu")  # what an entry is set to, to see which sites it stands for
Specs = Mapping[str, str | None]  # by path of the site


@dataclass(frozen=True, kw_only=True, eq=False)
class ConfigReplacement:
    """Writes an activation into a config.

    Attributes:
        config: of the model, or a part of it.
        key: of the entry.
        old: what it says before.
        new: what it says afterwards.
    """

    config: Any
    key: str
    old: str
    new: str

    def apply(self) -> None:
        """Write the new function."""
        setattr(self.config, self.key, self.new)

    def undo(self) -> None:
        """Write the old function, unless the entry was changed since."""
        if getattr(self.config, self.key, None) == self.new:
            setattr(self.config, self.key, self.old)

    def is_intact(self) -> bool:
        """Return True: an entry that was changed since is no reason not to undo the swap."""
        return True

    @property
    def new_modules(self) -> tuple[nn.Module, ...]:
        """The modules that are new in the model: none."""
        return ()


def replacements(model: nn.Module) -> list[ConfigReplacement]:
    """Return the changes of configs by which they say what a swapped model runs; and let ``save_pretrained`` warn where they do not.

    Args:
        model: swapped, a model of transformers or one that contains such models.
    """
    _warn_on_save()
    return [change for part in _outermost(model) for change in _config_changes(part)]


def _outermost(model: nn.Module) -> Iterator[Any]:
    """Yield the models of transformers that are in no other one."""
    inside: set[int] = set()
    for module in model.modules():
        if id(module) not in inside and isinstance(module, _base()):
            inside |= {id(part) for part in module.modules()}
            yield module


def _base() -> Any:
    return sys.modules["transformers.modeling_utils"].PreTrainedModel


def _config_changes(model: Any) -> Iterator[ConfigReplacement]:
    built = _specs_of_config(model, model.config)
    if built is None:
        return
    runs = _specs(model)
    for path, config, key in _entries(model.config):
        if all(runs.get(site) == spec for site, spec in built.items()):
            return
        governed = _governed(model, path, key, built)
        new = {runs.get(site) for site in governed}
        if len(new) == 1 and new != {built[site] for site in governed}:
            text = _entry_text(new.pop())
            if text is not None:
                yield ConfigReplacement(config=config, key=key, old=getattr(config, key), new=text)


def _entries(config: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Yield the entries of a config, and of those inside it, that name an activation: path of the part, part, key."""
    table = transformers.tables()[0].entries
    for key, value in vars(config).items():
        if hasattr(value, "to_diff_dict"):
            yield from _entries(value, (*path, key))
        elif isinstance(value, str) and "act" in key and value in table:
            yield path, config, key


def _governed(model: Any, path: tuple[str, ...], key: str, built: Specs) -> list[str]:
    """Return the sites of a model whose function an entry of its config decides."""
    config = deepcopy(model.config)
    part = config
    for name in path:
        part = getattr(part, name)
    other = next(each for each in _OTHERS if each != getattr(part, key))
    setattr(part, key, other)
    changed = _specs_of_config(model, config)
    return [] if changed is None else [site for site, spec in built.items() if changed.get(site) != spec]


def _specs_of_config(model: Any, config: Any) -> Specs | None:
    """Return what a model of the same class, built from a config, runs at its sites; None where it cannot be built."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            new = original_class(type(model))(deepcopy(config))
    except Exception:  # the library's or a user's code
        return None
    return _specs(new)


def _specs(model: nn.Module) -> Specs:
    return {site.path: site.spec or site.name for site in find(model)}


def _entry_text(spec: str | None) -> str | None:
    """Return what a config says for a spec: a name of transformers for the same function, or the spec; None if it cannot say it."""
    if spec is None:
        return None
    own = _own_names()
    if spec in own:
        return own[spec]
    try:
        parsed = parse(spec)
    except ActlabError:
        return None
    if refusal(parsed):
        return None
    transformers.enter()  # so that the spec can be looked up in this process
    return f"{spec}()" if dict.__contains__(transformers.tables()[0].entries, spec) else spec


@cache
def _own_names() -> Mapping[str, str]:
    """Return the names under which transformers has a function, by spec; the name of the spec where it has several."""
    table = transformers.tables()[0].entries
    names: dict[str, str] = {}
    for name, content in list(table.items()):
        if not is_ours(content):
            spec = next(
                (site.spec for site in find(nn.Sequential(nn.Identity(), table[name])) if site.path == "1"), None
            )
            if spec and (spec not in names or name == spec):
                names[spec] = name
    return names


# -------------------------------------------------------------------------------------------- saving


def _warn_on_save() -> None:
    """Let ``save_pretrained`` compare the model with its config, unless it does already."""
    base = _base()
    if not hasattr(base.save_pretrained, "without_actlab"):
        base.save_pretrained = _with_warning(base.save_pretrained)


def _with_warning(original: Any) -> Any:
    @wraps(original)
    def save_pretrained(self: Any, *arguments: Any, **options: Any) -> Any:
        if any(isinstance(module, (ActivationLayer, Blend)) or edits_of(type(module)) for module in self.modules()):
            found = differences(self)
            if found:
                warnings.warn(
                    f"{original_class(type(self)).__name__} is saved with a config that does not say what it runs: {'; '.join(found[:6])}"
                    f"{f'; and {len(found) - 6} more' if len(found) > 6 else ''}. from_pretrained builds what the config says. After "
                    "loading, swap again as here and load the state_dict.",
                    stacklevel=2,
                )
        return original(self, *arguments, **options)

    save_pretrained.without_actlab = original  # type: ignore[attr-defined]  # a mark on a function
    return save_pretrained


def differences(model: Any) -> list[str]:
    """Return where a model of transformers runs other activations than one that is built from its config."""
    built = _specs_of_config(model, model.config)
    if built is None:
        return ["a model could not be built from the config, to compare"]
    return [
        f"{owner or 'the model'} runs {_listed(mine)}, and the config says {_listed(theirs)}"
        for owner, mine, theirs in _by_owner(_specs(model), built)
        if mine != theirs
    ]


def _by_owner(runs: Specs, built: Specs) -> Iterator[tuple[str, Counter[str], Counter[str]]]:
    """Yield the functions by the module that holds them: a call and a layer in its place have different paths in the same module."""
    sides: list[dict[str, Counter[str]]] = [{}, {}]
    for side, specs in zip(sides, (runs, built), strict=True):
        for path, spec in specs.items():
            owner = path.rpartition(":")[0] or path
            side.setdefault(owner.rpartition(".")[0], Counter())[str(spec)] += 1
    for owner in dict.fromkeys([*sides[0], *sides[1]]):
        yield owner, sides[0].get(owner, Counter()), sides[1].get(owner, Counter())


def _listed(specs: Counter[str]) -> str:
    return ", ".join(specs) or "none"
