"""A store is the file that was typed, whatever characters its name has."""

import pytest
from tests.studies.tiny import tiny

import actlab
from actlab.errors import StoreError
from actlab.studies.store.location import STORE_VARIABLE, store_file, store_url
from actlab.studies.store.store import Store

ODD = [
    "a?b=c.db",
    "50%25.db",
    "%41.db",
    "a#b.db",
    "a b.db",
    "naïve 試験.db",
    "a&b;c.db",
    "it's.db",
    'say "x".db',
    "runs:1.db",
]


def test_where_a_store_is(monkeypatch):
    monkeypatch.delenv(STORE_VARIABLE, raising=False)
    assert store_url(None) == "sqlite:///actlab.db"
    monkeypatch.setenv(STORE_VARIABLE, "postgresql://here/db")
    assert store_url(None) == "postgresql://here/db"
    assert store_url("x/y.db") == "sqlite:///x/y.db"


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("form", [str, "sqlite:///{}".format, "path"])
@pytest.mark.parametrize("folder", ["plain", "with %20", "q?x#y"])
def test_the_file_of_a_store_is_the_one_that_was_typed(tmp_path, name, form, folder):
    place = tmp_path / folder
    place.mkdir()

    typed = place / name if form == "path" else form(place / name)
    Store(typed).close()

    assert [found.name for found in place.iterdir()] == [name]
    assert store_file(store_url(typed)) == place / name
    assert actlab.list_studies(typed) == []


def test_a_relative_path_stays_the_same_file_after_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store("a.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert store.studies() == []
    assert Store(store.absolute_url, create=False).studies() == []
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("url", ["sqlite:x.db", "sqlite:/x.db", "sqlite://x.db", "sqlite+pysqlite:///x.db"])
def test_a_url_of_sqlite_in_another_form_is_refused_with_the_form_that_works(url):
    with pytest.raises(StoreError, match=r"write sqlite:/// and the path"):
        Store(url)


@pytest.mark.parametrize("store", [3, b"a.db", ["a.db"], True])
def test_what_is_neither_a_path_nor_a_url_is_refused(store):
    with pytest.raises(
        StoreError, match=f"A store is a path or a URL, such as 'actlab.db'; got {type(store).__name__}"
    ):
        Store(store)


def test_a_null_character_is_refused():
    with pytest.raises(StoreError, match="null character"):
        Store("a\0b.db")


def test_a_store_on_a_network_file_system_is_warned_of(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("actlab.study.network_file_system", lambda _: "nfs4")

    actlab.compare(tiny(), ["relu", "gelu"], seeds=1, jobs=1, store=tmp_path / "a.db")

    assert [record.levelname for record in caplog.records if "network file system (nfs4)" in record.message] == [
        "WARNING"
    ]
