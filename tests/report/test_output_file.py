"""A report takes the place of a report, and of no other file."""

import os
import stat
from pathlib import Path

import pytest
from tests.studies.tiny import tiny

import actlab
from actlab.errors import ActlabError
from actlab.report.output_file import write_output

PAGE = "<!doctype html>\n<p>...</p>\n<footer>Made by ActLab 0.1.0.</footer>\n"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return actlab.compare(tiny(), ["relu", "gelu"], seeds=2, jobs=1, store=folder / "s.db", name="mine")


# the head of a page that an early build wrote, which had no mark
EARLIER_PAGE = (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n<title>digits: Stay with relu.</title>\n<style>\n"
)


@pytest.mark.parametrize("content", [b"", PAGE.encode(), EARLIER_PAGE.encode() + b"." * 4096])
def test_a_page_replaces_a_page_of_any_build_and_an_empty_file(tmp_path, content):
    (tmp_path / "a.html").write_bytes(content)

    assert write_output(tmp_path / "a.html", PAGE + "new").read_text() == PAGE + "new"


@pytest.mark.parametrize("name", ["a.html", "a.csv", "a.md", "a.tex", "a.png", "notes"])
@pytest.mark.parametrize(
    "content", [b"my notes", b"arm,seed\nrelu,1\n", bytes(range(256)), b"<html>of another program</html>", b"\n\n\n"]
)
def test_another_file_is_left_alone_without_force(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ActlabError, match=r"not written by ActLab.*--force"):
        write_output(tmp_path / name, "arm,metric\nrelu,0.5\n")
    assert (tmp_path / name).read_bytes() == content

    assert write_output(tmp_path / name, PAGE, force=True).read_text() == PAGE


@pytest.mark.parametrize("ending", [".html", ".svg", ".pdf", ".png", ".csv", ".md", ".tex"])
def test_every_kind_of_report_replaces_one_of_its_own_and_no_store(study, tmp_path, ending):
    from actlab.report.html.study_files import write_studies  # imports the drawing library

    file = tmp_path / f"report{ending}"
    write_studies([study], file)
    first = file.read_bytes()
    write_studies([study], file)
    assert file.read_bytes()[:200] == first[:200]

    store = Path(study.store.removeprefix("sqlite:///"))
    file.write_bytes(store.read_bytes())
    with pytest.raises(ActlabError, match="not written by ActLab"):
        write_studies([study], file)
    assert actlab.list_studies(file)[0]["study"] == "mine"


def test_the_report_of_a_study_is_not_written_over_its_store(study):
    store = Path(study.store.removeprefix("sqlite:///"))

    with pytest.raises(ActlabError, match="not written by ActLab"):
        study.report(store)

    assert len(study.rows()) == 4


def test_a_full_disk_leaves_the_earlier_page_as_it_was(tmp_path, monkeypatch):
    write_output(tmp_path / "a.html", PAGE)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(ActlabError, match="No space left on device"):
        write_output(tmp_path / "a.html", PAGE + "new")

    assert (tmp_path / "a.html").read_text() == PAGE
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]


def test_permissions_and_links_stay(tmp_path):
    write_output(tmp_path / "a.html", PAGE)
    assert stat.S_IMODE((tmp_path / "a.html").stat().st_mode) == 0o666 & ~_umask()

    (tmp_path / "a.html").chmod(0o640)
    (tmp_path / "link.html").symlink_to("a.html")
    write_output(tmp_path / "link.html", PAGE + "new")

    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "a.html").read_text() == PAGE + "new"
    assert stat.S_IMODE((tmp_path / "a.html").stat().st_mode) == 0o640


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_device_is_written_to(tmp_path):
    assert write_output(Path("/dev/null"), PAGE) == Path("/dev/null")

    with pytest.raises(ActlabError, match="cannot be written"):
        write_output(tmp_path, PAGE)
