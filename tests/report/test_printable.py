"""Characters that cannot be seen are left out of what is drawn, and are escapes in JSON."""

import json
from dataclasses import replace

import pytest
from tests.studies.tiny import tiny
from typer.testing import CliRunner

import actlab
from actlab.cli import app
from actlab.report.html.study import html
from actlab.system.printable import escape_unprintable, printable

ODD = {
    "ESC": "\x1b[2J\x1b[31m",
    "backspace": "\x08\x08\x08",
    "return": "\r",
    "C1": "\x9b31m",
    "delete": "\x7f",
    "bidi": "\u202e\u2066\u200f",
    "zero width": "\u200b\u200d\ufeff\u2060",
    "tag": "\U000e0041",
    "soft hyphen": "\u00ad",
    "line separator": "\u2028",
    "surrogate": "\ud800",
}
LEGIT = "naïve Ω 試験 é\u0301 a\u00a0b 🙂"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("printable")

    def failing(seed):
        if seed == 1:
            raise ValueError("".join(ODD.values()) + "the reason")
        return tiny().model(seed)

    odd = "".join(text for kind, text in ODD.items() if kind != "surrogate")
    task = tiny(name=f"ti{odd}ny", metric_name=f"lo{odd}ss", model=failing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("actlab.studies.prepare.check", lambda task, seed: task.data(seed))
        return actlab.compare(task, ["relu", "gelu"], seeds=3, jobs=1, store=folder / "s.db", name="mine")


@pytest.mark.parametrize("kind", ODD)
def test_text_loses_what_cannot_be_seen_and_keeps_the_rest(kind):
    assert printable(f"a{ODD[kind]}b\n\tc") == f"a{'[2J[31m' if kind == 'ESC' else '31m' if kind == 'C1' else ''}b\n\tc"
    assert printable(LEGIT) == LEGIT


@pytest.mark.parametrize("kind", ODD)
def test_json_has_escapes_and_gives_the_text_back(kind):
    value = {"name": f"a{ODD[kind]}b", "legit": LEGIT}

    text = escape_unprintable(json.dumps(value, ensure_ascii=False, indent=1))

    assert json.loads(text) == value
    assert printable(text) == text
    assert LEGIT in text


def test_verdicts_and_pages_show_none(study):
    verdict = study.verdict()
    arms = tuple(replace(arm, reason=f"{arm.reason}{''.join(ODD.values())}") for arm in verdict.arms)
    verdict = replace(verdict, arms=arms, study=f"my{ODD['ESC']}{ODD['bidi']}study")

    for text in (str(verdict), verdict._repr_html_(), html(verdict, study.rows())):
        assert printable(text) == text


@pytest.mark.parametrize(
    "arguments", [["studies"], ["studies", "--json"], ["report", "no{}"], ["report", "no{}", "--json"]]
)
def test_commands_print_none(study, arguments):
    odd = ODD["ESC"] + ODD["bidi"] + ODD["zero width"]
    found = CliRunner().invoke(app, [argument.format(odd) for argument in arguments] + ["--store", study.store])

    assert found.output
    assert printable(found.output) == found.output
