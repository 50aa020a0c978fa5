"""Charts as SVG, PDF and PNG files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.studies.verdict.convergence.simulated import facts, rows

from actlab.errors import ActlabError, UnknownNameError
from actlab.report.charts.figure_file import COLOURS, FIGURES, write_study_figure
from actlab.studies.verdict.verdict import make_verdict

ARMS = {"relu": (60.0, 0.96), "gelu": (30.0, 0.96)}
AXES = {
    "calibration": {"curves": {"reliability": {"x": [0.5, 0.9], "y": [0.4, 0.9], "count": [10, 30]}}},
    "robustness": {"curves": {"noise": {"x": [0.0, 0.5, 1.0], "y": [0.9, 0.8, 0.4], "x_name": "strength"}}},
}
HEAD = {".svg": b"<svg", ".pdf": b"%PDF", ".png": b"\x89PNG"}


@pytest.fixture(scope="module")
def converging():
    """Verdict and trials of a simulated study with series."""
    costs = {"relu": {"step_time_ratio": 1.0}, "gelu": {"step_time_ratio": 1.1}}
    curve = [{"step": step, "loss": 1 / step} for step in range(1, 401, 4)]
    found = [{**row, "curve": curve, "axes": AXES} for row in rows(ARMS, 6)]
    return make_verdict(found, facts(ARMS, 6), costs), found


@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.parametrize("ending", HEAD)
def test_every_figure_is_written_in_every_format(converging, tmp_path, kind, ending):
    written = write_study_figure(*converging, tmp_path / f"figure{ending}", kind)

    assert written.read_bytes().startswith(HEAD[ending])


@pytest.mark.parametrize("kind", FIGURES)
def test_an_svg_file_needs_no_style_sheet(converging, tmp_path, kind):
    text = write_study_figure(*converging, tmp_path / "figure.svg", kind).read_text()

    ET.fromstring(text)  # noqa: S314 our own drawing
    assert "var(" not in text
    assert "inherit" not in text


def test_the_colours_are_those_of_the_light_page():
    css = (Path(__file__).parents[3] / "src/actlab/report/html/page.css").read_text().partition("@media")[0]
    page = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", css))

    assert {name: COLOURS[name] for name in COLOURS if not name.startswith("arm-")}.items() <= page.items()


def test_an_unknown_ending_figure_and_folder_are_told(made_up, trials, tmp_path):
    with pytest.raises(ActlabError, match=r"allowed are \.svg, \.pdf, \.png"):
        write_study_figure(made_up, trials, tmp_path / "figure.gif")
    with pytest.raises(UnknownNameError, match="Did you mean 'cost'"):
        write_study_figure(made_up, trials, tmp_path / "figure.svg", "costs")
    with pytest.raises(ActlabError, match="cannot be written"):
        write_study_figure(made_up, trials, tmp_path / "none" / "figure.svg")
    for kind in ("held-out", "reached", "reliability", "severity"):  # trials of earlier builds, without series or axes
        with pytest.raises(ActlabError, match=f"no data for the figure '{kind}'"):
            write_study_figure(made_up, trials, tmp_path / "figure.svg", kind)


def test_any_curve_of_an_axis_is_a_figure_and_those_that_there_are_are_told(converging, tmp_path):
    drawn = write_study_figure(*converging, tmp_path / "figure.svg", "robustness:noise").read_text()

    assert "strength" in drawn
    with pytest.raises(UnknownNameError, match="Did you mean 'robustness:noise'"):
        write_study_figure(*converging, tmp_path / "other.svg", "robustness:nois")
