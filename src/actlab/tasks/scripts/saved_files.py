"""Warning of files that trials, which run at the same time, would overwrite for each other."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from actlab.tasks.scripts.command import places, split
from actlab.tasks.task import Task

__all__ = ["warn_of_saved_files"]

_log = logging.getLogger(__name__)

_WORDS: Final = {
    "script": ("The script", "Save to the folder of {out} in the command or of ACTLAB_OUT"),
    "function": ("The training function", "Save to a folder of its own for each trial (tempfile.TemporaryDirectory())"),
}
# Calls that write a model or results to a path of the script, and settings of trainers that do.
_SAVES: Final = re.compile(
    r"\b(?:torch\.save|save_pretrained|save_model|save_checkpoint|save_weights|save_state|save_file|joblib\.dump"
    r"|pickle\.dump|np\.savez?|numpy\.savez?|to_csv|ModelCheckpoint)\s*\(|\boutput_dir\s*=|\bdefault_root_dir\s*="
    r"|\bTrainingArguments\(\s*[fr]?[\"']"
)
_OWN_FOLDER: Final = re.compile(r"ACTLAB_OUT|\btempfile\b|\bTemporaryDirectory\b|\bmkdtemp\b")  # of a trial


def warn_of_saved_files(task: Task, texts: Mapping[Path, str], *, jobs: int) -> None:
    """Warn where a script or a training function seems to save files in a folder that all trials share.

    A model that is saved as the best and loaded again at the end may then be that of another trial.

    Args:
        task: whose ``door`` is "script" or "function".
        texts: of its file and of the modules that it imports, by file.
        jobs: trials at the same time.
    """
    has_place = task.script is not None and "out" in places(split(task.script))
    if jobs < 2 or has_place or any(_OWN_FOLDER.search(text) for text in texts.values()):
        return
    for file, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            found = _SAVES.search(line.partition("#")[0])
            if found is not None:
                who, where = _WORDS[task.door]
                _log.warning(
                    "%s saves files (%s, line %d: %s), and %d of its trials run at the same time in one folder: one overwrites the file of "
                    "another, and may load it for its own. %s, or use --jobs 1. A seed in the file's name is not enough, as all "
                    "activations share it.",
                    who,
                    file.name,
                    number,
                    line.strip()[:80],
                    jobs,
                    where,
                )
                return
