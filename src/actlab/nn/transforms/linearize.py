"""Replace activations by the affine functions that fit them best, in place, with undo()."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from actlab.errors import LayerError, SiteError
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.probes.affine_fit import Line, fit_lines
from actlab.nn.probes.batch import input_of
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import Entry, Site, Survey, survey
from actlab.nn.transforms.changes import Change, Changes, Skipped
from actlab.nn.transforms.rehearsal import rehearsal_failures
from actlab.nn.transforms.replacements import (
    Insertion,
    ModelPaths,
    Replacement,
    apply_all,
    plan_replacements,
    temporarily_applied,
)
from actlab.nn.transforms.selection import Key, Selection, check_selections, refusal_reason, select_sites

__all__ = ["LINE", "Affine", "linearise_", "sites_for_lines", "temporary_lines"]

#: ``Change.new`` of a linearised site.
LINE = "line"


class Affine(nn.Module):
    """Affine function of each channel: ``x * slope + shift``.

    Slope and shift are buffers: saved with the model, not trained. A linear layer behind it can absorb them.

    Args:
        line: the fitted slope and shift.

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
        """Apply it.

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
    """Return the sites that a line can replace, and the others with the reason.

    Args:
        model_survey: the sites of the model.
        keys: as in :func:`swap_`; None for all sites whose output the model does not return.
        example_inputs: the inputs of a dry run, with layers of the same functions.

    Raises:
        SiteError: a key matches no site, a site named by its path cannot be replaced, or no site can.
    """
    selections = select_sites(model_survey, "identity" if keys is None else dict.fromkeys(keys, "identity"))
    reasons = {
        selection.site.path: reason
        for selection in selections
        if (reason := refusal_reason(selection) or _line_obstacle(selection))
    }
    reasons |= rehearsal_failures(
        model_survey, [selection for selection in selections if selection.site.path not in reasons], example_inputs
    )
    check_selections(selections, reasons)
    entries = [selection.entry for selection in selections if selection.site.path not in reasons]
    skipped = [
        Skipped(site=selection.site, reason=reasons[selection.site.path])
        for selection in selections
        if selection.site.path in reasons
    ]
    return entries, skipped


def _line_obstacle(selection: Selection) -> str | None:
    site = selection.site
    if selection.entry.running.kind not in {"elementwise", "stochastic"}:
        return f"{site.name} is no function of one number, so that no line can replace it"
    return "it did not run on the example inputs" if site.calls == 0 else None


def line_replacements(model_survey: Survey, lines: Mapping[Hashable, Line]) -> list[Replacement]:
    """Return the replacements that insert lines, by slot key; the model is not changed yet."""
    model_paths = ModelPaths(model=model_survey.model, paths=model_survey.paths)
    insertions = [
        Insertion(
            owner=entry.slot.owner,
            new=model_paths.match_neighbors(Affine(lines[entry.slot.key]), entry.slot.owner),
            attribute=entry.slot.attribute,
            edit=entry.slot.edit,
        )
        for entry in model_survey.entries
        if entry.slot.key in lines
    ]
    return plan_replacements(model_paths, insertions)


@contextmanager
def temporary_lines(model_survey: Survey, lines: Mapping[Hashable, Line]) -> Iterator[None]:
    """Context manager: replace activations by lines on entry, restore them on exit.

    Args:
        model_survey: the sites of the original model.
        lines: lines by slot key.
    """
    with temporarily_applied(line_replacements(model_survey, lines)):
        yield


@takes_model
def linearise_(
    model: nn.Module,
    sites: Iterable[str | Site],
    calibration: Iterable[Any],
    *,
    per_channel: bool = True,
    inputs: Callable[[Any], Inputs] = input_of,
) -> Changes:
    """Replace activations by the affine functions that fit them best, in place.

    Sites are fitted in execution order, each in the model in which the sites before it are lines already.

    Args:
        model: any module.
        sites: paths, names, patterns or depths, as the keys of :func:`actlab.swap_`.
        calibration: batches to fit the lines on: tensors, mappings of keyword arguments, or sequences that begin with the model's input.
            All are held in memory.
        per_channel: fit one line per channel; otherwise one per site.
        inputs: picks the model's input from a batch, for batches of any other kind.

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
    batches = list(calibration)
    if not batches:
        raise SiteError(
            "Lines are fitted to data, and the calibration gave no batch (a generator that was read before is empty)."
        )
    example_inputs = inputs(batches[0])
    model_survey = survey(model, example_inputs)
    entries, skipped = sites_for_lines(model_survey, list(sites), example_inputs)
    fitted: dict[Hashable, Line] = {}
    for entry in entries:
        fitted |= refit_line(model_survey, fitted, entry, batches, inputs=inputs, per_channel=per_channel)
    replacements = line_replacements(model_survey, fitted)
    apply_all(replacements)
    done = [entry.site for entry in entries if entry.slot.key in fitted]
    changes = [Change(path=site.path, old=site.spec or site.name or "?", new=LINE) for site in done]
    return Changes(changes, skipped, (), replacements)


def refit_line(
    model_survey: Survey,
    fitted: Mapping[Hashable, Line],
    entry: Entry,
    batches: Iterable[Any],
    *,
    inputs: Callable[[Any], Inputs],
    per_channel: bool,
) -> dict[Hashable, Line]:
    """Fit one site of the model with other sites replaced by lines.

    Returns:
        The line by slot key; empty where the site does not run any more.
    """
    key = entry.slot.key
    with temporary_lines(model_survey, fitted):
        return dict(fit_lines(model_survey.model, batches, [key], inputs=inputs, per_channel=per_channel))
