"""Test examples in reference texts: words, characters, ids and their files."""

import gzip

import numpy as np
import pytest
import torch
from tests.evaluate.audit.planted import kinds, of_kind
from tests.evaluate.audit.text.test_shared_text import Texts, texts

import actlab
from actlab.errors import TaskError

PLAY = "\n".join(f"{name}: {line}" for name, line in zip("ABCDEFGHIJ" * 40, texts(400, 5, 12), strict=True))


def windows(text, start, stop, length=64):
    letters = sorted(set(PLAY))
    ids = torch.tensor([letters.index(c) for c in text[start:stop]])
    cut = ids[: len(ids) // length * length].reshape(-1, length)
    return cut[:, :-1], cut[:, 1:]


def play_data():
    return {"train": windows(PLAY, 0, 20_000), "test": windows(PLAY, 20_000, 27_000)}


def test_characters_by_number_are_found_in_a_text_of_which_they_are_a_part(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("unrelated " * 50 + PLAY[21_000:24_000])

    found = actlab.audit(play_data(), against=file)

    assert kinds(found) == [("contamination", ("test",))]
    assert found.findings[0].count == pytest.approx(3000 / 64, abs=2)


def test_a_text_about_other_things_contains_no_example(tmp_path):
    file = tmp_path / "corpus.txt.gz"
    with gzip.open(file, "wt") as opened:
        opened.write(PLAY[:20_000])  # the training text

    assert actlab.audit(play_data(), against=file).clean


def test_words_are_found_whatever_the_lines(tmp_path):
    test = texts(50, 0)
    file = tmp_path / "corpus.txt"
    file.write_text("\n".join(texts(50, 9)) + "\n" + test[3].upper().replace(" ", "\n"))

    found = actlab.audit({"train": Texts(texts(200, 1)), "test": Texts(test)}, against=file)

    assert of_kind(found, "contamination")[0].examples == (3,)


def test_token_ids_are_found_in_a_file_of_ids(tmp_path):
    random = np.random.default_rng(0)
    corpus = random.integers(0, 50_000, 3000)
    test = torch.tensor(np.stack([corpus[100:140], random.integers(0, 50_000, 40)]))
    train = torch.tensor(random.integers(0, 50_000, (300, 40)))
    file = tmp_path / "corpus.npy"
    np.save(file, corpus)

    found = actlab.audit({"train": (train, train), "test": (test, test)}, against=file)

    assert of_kind(found, "contamination")[0].examples == (0,)


def test_a_run_across_two_pieces_of_the_file_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("actlab.evaluate.audit.text.reference_overlap._PIECE", 2000)
    file = tmp_path / "corpus.txt"
    file.write_text(PLAY[20_000:27_000])

    found = actlab.audit(play_data(), against=file)

    assert of_kind(found, "contamination")[0].share == 1.0


def test_a_text_for_token_ids_and_ids_for_texts_are_refused(tmp_path):
    text, ids = tmp_path / "corpus.txt", tmp_path / "corpus.npy"
    text.write_text("some text")
    np.save(ids, np.arange(10))
    numbers = torch.randint(0, 50_000, (100, 40))

    with pytest.raises(TaskError, match="same tokenizer"):
        actlab.audit({"train": (numbers, numbers), "test": (numbers, numbers)}, against=text)
    with pytest.raises(TaskError, match="inputs are texts"):
        actlab.audit({"train": Texts(texts(20, 0)), "test": Texts(texts(20, 1))}, against=ids)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "corpus.txt").touch()

    with pytest.raises(TaskError, match="is empty"):
        actlab.audit(play_data(), against=tmp_path / "corpus.txt")
