"""Index of built-in names, read without importing the functions."""

from __future__ import annotations

import subprocess
import sys

from actlab.functions.name_index import built_in_names


def test_the_index_has_the_names_and_aliases_of_the_registries():
    code = (
        "from actlab.functions.activation import get, names\n"
        "from actlab.functions.rule import get_rule, rules\n"
        "print(*sorted(n for record in map(get, names()) for n in (record.name, *record.aliases)))\n"
        "print(*sorted(n for rule in map(get_rule, rules()) for n in (rule.name, *rule.aliases)))"
    )  # a process of its own: other tests register functions
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    activations, gradient_rules = (line.split() for line in done.stdout.splitlines())

    assert list(built_in_names("catalogue")) == activations
    assert list(built_in_names("rules")) == gradient_rules


def test_the_index_is_read_without_sympy():
    code = (
        "import sys; from actlab.functions.spec_text import check_names; check_names('step/rect(-1, 1)')\n"
        "print(sorted({'sympy', 'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
