"""Corruptions of each kind of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actlab.evaluate.corruptions.corruption import Corruption
from actlab.evaluate.corruptions.image_corruptions import IMAGE_CORRUPTIONS
from actlab.evaluate.corruptions.series_corruptions import SERIES_CORRUPTIONS
from actlab.evaluate.corruptions.table_corruptions import TABLE_CORRUPTIONS
from actlab.evaluate.corruptions.text_corruptions import TEXT_CORRUPTIONS
from actlab.evaluate.input_kind import InputKind

__all__ = ["CORRUPTIONS"]

#: By kind of inputs, and by name.
CORRUPTIONS: Final[Mapping[InputKind, Mapping[str, Corruption]]] = {
    "image": IMAGE_CORRUPTIONS,
    "table": TABLE_CORRUPTIONS,
    "series": SERIES_CORRUPTIONS,
    "text": TEXT_CORRUPTIONS,
}
