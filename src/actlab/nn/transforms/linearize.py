"""The linearisation: lines in the place of activations, in a model, with a way back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from actlab.errors import LayerError, SiteError
from actlab.nn.probes.affine_fit import Line, fit_lines
from actlab.nn.probes.batch import input_of
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import Entry, Site, Survey, survey
from actlab.nn.transforms.changes import Change, Changes, Skipped
from actlab.nn.transforms.rehearsal import rehearsal_failures
from actlab.nn.transforms.replacements import Insertion, ModelPaths, Replacement, plan_replacements, temporarily_applied
from actlab.nn.transforms.selection import Key, Selection, check_selections, refusal_reason, select_sites

__all__ = ["LINE", "Affine", "linearise_", "sites_for_lines", "temporary_lines"]

LINE = "line"
"""What a change says is there in the place of an activation."""


class Affine(nn.Module):
    """A line for each channel: ``x * slope + shift``.

    The numbers are buffers: they are saved with the model and not trained. A linear layer behind it can take them in.

    Args:
        line: what it computes.

    Example:
        >>> line = Line(slope=torch.tensor([2.0]), shift=torch.tensor([1.0]), mean=torch.zeros(1), dim=-1, r2=1.0, elements=1)
        >>> Affine(line)(torch.tensor([0.0, 3.0]))
        tensor([1., 7.])
    """

    slope: Tensor
    shift: Tensor

    def __init__(self, line: Line) -> None:
        super().__init__()
        self.dim = line.dim
        self.register_buffer("slope", line.slope.to(torch.get_default_dtype()))
        self.register_buffer("shift", line.shift.to(torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the line.

        Args:
            x: floating tensor with the channels in the dimension that the line was fitted along.

        Returns:
            Tensor of the same shape and dtype.

        Raises:
            LayerError: the channels do not fit.
        """
        channels = len(self.slope)
        if channels > 1 and (x.dim() < -self.dim or x.shape[self.dim] != channels):
            raise LayerError(
                f"These lines were fitted to {channels} channels in dimension {self.dim}, got an input of shape {tuple(x.shape)}."
            )
        shape = (-1, *[1] * (-self.dim - 1)) if channels > 1 else ()
        return (x * self.slope.view(shape) + self.shift.view(shape)).to(x.dtype)

    def extra_repr(self) -> str:
        """Return the number of lines."""
        return f"channels={len(self.slope)}, dim={self.dim}"


def sites_for_lines(
    model_survey: Survey, keys: Iterable[Key] | None, example_inputs: Inputs
) -> tuple[list[Entry], list[Skipped]]:
    """Return the sites that a line can take the place of, and the others with the reason.

    Args:
        model_survey: the sites of the model.
        keys: as in :func:`swap_`; all that do not make the model's output if not given.
        example_inputs: what the exchange is rehearsed on: nothing may depend on how the present functions were written.

    Raises:
        SiteError: a key matches no site, or a site that was named, or every site, cannot be replaced.
    """
    selections = select_sites(model_survey, "identity" if keys is None else dict.fromkeys(keys, "identity"))
    reasons = {
        selection.site.path: reason
        for selection in selections
        if (reason := refusal_reason(selection) or _no_line(selection))
    }
    reasons |= rehearsal_failures(
        model_survey, [selection for selection in selections if selection.site.path not in reasons], example_inputs
    )
    check_selections(selections, reasons)
    kept = [selection.entry for selection in selections if selection.site.path not in reasons]
    left = [
        Skipped(site=selection.site, reason=reasons[selection.site.path])
        for selection in selections
        if selection.site.path in reasons
    ]
    return kept, left


def _no_line(selection: Selection) -> str | None:
    site = selection.site
    if selection.entry.running.kind not in {"elementwise", "stochastic"}:
        return f"{site.name} is no function of one number, so no line blend_sites in for it"
    return "it did not run on the example inputs" if site.calls == 0 else None


def line_replacements(model_survey: Survey, stand_ins: Mapping[Hashable, Line]) -> list[Replacement]:
    """Return the replacements that put lines in, by the key of the place; nothing is changed yet."""
    model_paths = ModelPaths(model=model_survey.model, paths=model_survey.paths)
    insertions = [
        Insertion(
            owner=entry.slot.owner,
            new=model_paths.place_like_neighbours(Affine(stand_ins[entry.slot.key]), entry.slot.owner),
            attribute=entry.slot.attribute,
            edit=entry.slot.edit,
        )
        for entry in model_survey.entries
        if entry.slot.key in stand_ins
    ]
    return plan_replacements(model_paths, insertions)


@contextmanager
def temporary_lines(model_survey: Survey, stand_ins: Mapping[Hashable, Line]) -> Iterator[None]:
    """Run what is inside with lines in the place of activations; then take them out again.

    Args:
        model_survey: the sites of the model as it is without them.
        stand_ins: lines, by the key of the place.
    """
    with temporarily_applied(line_replacements(model_survey, stand_ins)):
        yield


def linearise_(
    model: nn.Module,
    sites: Iterable[str | Site],
    calibration: Iterable[Any],
    *,
    per_channel: bool = True,
    inputs: Callable[[Any], Inputs] = input_of,
) -> Changes:
    """Put the best affine fit in the place of activations, in place.

    Sites are taken in the order in which they run, and each is fitted in the net as it then is: behind those that are lines already.

    Args:
        model: any module.
        sites: which ones: paths, names, patterns or depths, as the keys of :func:`actlab.swap_`.
        calibration: batches the lines are fitted to: tensors, mappings of keyword arguments, or sequences that begin with the model's
            input. They are kept while it works.
        per_channel: a line for each channel; else one for each site.
        inputs: picks the model's input from a batch, where that is none of these.

    Returns:
        The changes, with ``undo()``.

    Raises:
        SiteError: there is no batch, a key matches nothing, or a site cannot be replaced. The model is as it was.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
        >>> changes = linearise_(net, ["1"], [torch.randn(64, 2)])
        >>> changes, net[1]
        (1: relu -> line, Affine(channels=4, dim=-1))
        >>> changes.undo()
        >>> net[1]
        ReLU()
    """
    kept = list(calibration)
    if not kept:
        raise SiteError(
            "Lines are fitted to data, and the calibration gave no batch (a generator that was read before is empty)."
        )
    example = inputs(kept[0])
    model_survey = survey(model, example)
    entries, left = sites_for_lines(model_survey, list(sites), example)
    fitted: dict[Hashable, Line] = {}
    for entry in entries:
        fitted |= refit_line(model_survey, fitted, entry, kept, inputs=inputs, per_channel=per_channel)
    replacements = line_replacements(model_survey, fitted)
    for replacement in replacements:
        replacement.do()
    done = [entry.site for entry in entries if entry.slot.key in fitted]
    changes = [Change(path=site.path, old=site.spec or site.name or "?", new=LINE) for site in done]
    return Changes(changes, left, (), replacements)


def refit_line(
    model_survey: Survey,
    fitted: Mapping[Hashable, Line],
    entry: Entry,
    batches: Iterable[Any],
    *,
    inputs: Callable[[Any], Inputs],
    per_channel: bool,
) -> dict[Hashable, Line]:
    """Fit one site in the net as it is with other lines in it.

    Returns:
        The line by the key of its place; nothing where the site does not run any more.
    """
    key = entry.slot.key
    with temporary_lines(model_survey, fitted):
        return dict(fit_lines(model_survey.model, batches, [key], inputs=inputs, per_channel=per_channel))
