"""Command of a script, split without a shell, with places for seed, learning rate and output."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import string
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from actlab.errors import TaskError, did_you_mean

__all__ = ["PLACES", "check_command", "fill", "joined", "named_files", "places", "script_file", "split"]

#: What can stand in braces in a command.
PLACES = ("seed", "lr", "out")

_PYTHON = ("python", "python3")
# Words with a meaning to a shell only: operators, redirections, variables, and assignments before the program.
_SHELL = re.compile(r"\|\|?|&&?|.*;|[0-9&]?(>>?|<<?)(&[0-9]|.*)|.*\$\w.*", re.ASCII)
_PLAIN = re.compile(r"[\w@%+=:,./{}-]+", re.ASCII)  # what split takes as it is, without quotes
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
# Files that are read for the identity of a study when the command names them. Others may be results of the script.
_CODE = (".py", ".sh", ".yaml", ".yml", ".toml", ".ini", ".cfg")


def split(command: str | Sequence[str]) -> tuple[str, ...]:
    """Return the words of a command; a sequence of words is taken as it is.

    Raises:
        TaskError: there is no word, quotes do not match, or a word is for a shell.

    Example:
        >>> split("python train.py --name 'a b' --seed {seed}")
        ('python', 'train.py', '--name', 'a b', '--seed', '{seed}')
    """
    if not isinstance(command, str):
        words = tuple(command) if isinstance(command, Iterable) else ()
        if not words or not all(isinstance(word, str) for word in words):
            raise TaskError(
                f"The command of a script is text, such as 'python train.py --seed {{seed}}'; got {command!r}."
            )
        return words
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise TaskError(f"The command {command!r} cannot be split into words: {error}.") from error
    if not words:
        raise TaskError("The command of the script is empty; give one such as 'python train.py --seed {seed}'.")
    _check_no_shell(command, words)
    return tuple(str(Path(word).expanduser()) if word.startswith("~/") else word for word in words)


def joined(words: Iterable[str]) -> str:
    """Return the command of words, with quotes only where :func:`split` needs them: not around ``{seed}``.

    Example:
        >>> joined(("python", "train.py", "--name", "a b", "--seed", "{seed}"))
        "python train.py --name 'a b' --seed {seed}"
    """
    return " ".join(word if _PLAIN.fullmatch(word) else shlex.quote(word) for word in words)


def _check_no_shell(command: str, words: Sequence[str]) -> None:
    if _ASSIGNMENT.match(words[0]):
        raise TaskError(
            f"The command {command!r} begins with {words[0]!r}. It is run without a shell: write 'env {words[0]} ...', or set the variable "
            "before actlab is started, which passes it on."
        )
    for word in words:
        if _SHELL.fullmatch(word):
            raise TaskError(
                f"The command {command!r} has {word!r}, and it is run without a shell. Omit it (ActLab reads what the script prints, and "
                "keeps the last lines), or write the shell yourself: bash -c '...'."
            )


def places(words: Iterable[str]) -> set[str]:
    """Return what stands in braces in the words of a command.

    Raises:
        TaskError: it is none of :data:`PLACES`.

    Example:
        >>> sorted(places(["train.py", "--seed={seed}", "{{literal}}"]))
        ['seed']
    """
    found = set()
    for word in words:
        try:
            names = [name for _, name, _, _ in string.Formatter().parse(word) if name is not None]
        except ValueError as error:
            raise TaskError(
                f"The word {word!r} of the command cannot be read: {error}. Write {{{{ for a brace."
            ) from error
        for name in names:
            if name not in PLACES:
                raise TaskError(
                    f"The command has {{{name}}}, which stands for nothing.{did_you_mean(name, PLACES)} Allowed are "
                    f"{', '.join(f'{{{place}}}' for place in PLACES)}; write {{{{ and }}}} for braces."
                )
        found.update(names)
    return found


def fill(words: Iterable[str], values: Mapping[str, Any]) -> list[str]:
    """Return the words with values in their places, and the program as a path.

    ``python`` and ``python3`` are the interpreter that runs ActLab. Other programs are looked for beside it first, so that ``torchrun``
    belongs to the same environment, and then in ``PATH``.

    Raises:
        TaskError: there is no such program, or a value has no such form.

    Example:
        >>> fill(["python", "train.py", "--seed={seed:03d}"], {"seed": 7})[1:]
        ['train.py', '--seed=007']
    """
    try:
        filled = [word.format(**values) for word in words]
    except (ValueError, IndexError, KeyError) as error:
        raise TaskError(f"A value cannot be put into the command {shlex.join(words)!r}: {error}.") from error
    return [_program(filled[0]), *filled[1:]]


def _program(name: str) -> str:
    if name in _PYTHON:
        return sys.executable
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if found is not None:
        return str(Path(found).absolute())
    if Path(name).is_file():
        how = f"python {name}" if name.endswith(".py") else f"bash {name}"
        raise TaskError(f"{name} is no program that can be run. Did you mean {how!r}?")
    near = did_you_mean(name, [*_PYTHON, "torchrun", "accelerate"])
    raise TaskError(
        f"There is no program {name!r}.{near} Begin the command with python, or with the path of a program."
    )


def check_command(words: Sequence[str]) -> None:
    """Check places, program and script of a command.

    Raises:
        TaskError: one is wrong.
    """
    places(words)
    fill(words, {"seed": 0, "lr": 0.1, "out": "out"})
    missing = next(
        (word for word in words[1:] if word.endswith(".py") and not Path(word).exists() and "{" not in word), None
    )
    if missing is not None and script_file(words) is None:
        folder = Path(missing).parent
        near = did_you_mean(Path(missing).name, [file.name for file in folder.glob("*.py")] if folder.is_dir() else [])
        raise TaskError(f"There is no file {missing}.{near} Looked in {folder.resolve()}.")


def script_file(words: Sequence[str]) -> Path | None:
    """Return the file of the script: the first Python file, the module after ``-m``, or the first other file that is named.

    Example:
        >>> script_file(["python", "-c", "print()"]) is None
        True
    """
    arguments = list(words[1:])
    files = [Path(word) for word in arguments if word.endswith(".py") and Path(word).is_file()]
    modules = [word for flag, word in pairwise(arguments) if flag == "-m"]
    for module in modules:
        path = Path(*module.split("."))
        files += [file for file in (path.with_suffix(".py"), path / "__main__.py") if file.is_file()]
    files += [Path(word) for word in words if Path(word).suffix in _CODE and Path(word).is_file()]
    return next(iter(files), None)


def named_files(words: Sequence[str]) -> list[Path]:
    """Return the files of code and configuration that a command names, its script first."""
    script = script_file(words)
    named = (Path(word.rpartition("=")[2]) for word in words)
    found = [
        *([] if script is None else [script]),
        *(file for file in named if file.suffix in _CODE and file.is_file()),
    ]
    return list(dict.fromkeys(file.resolve() for file in found))
