"""Texts that share most of their shingles, and phrases that many texts have."""

import numpy as np
from tests.evaluate.audit.planted import kinds, of_kind

import actlab
from actlab.evaluate.audit.text.shared_text import overlap_threshold

WORDS = [f"word{number}" for number in range(3000)]


def texts(n, seed, length=60):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, length)) for _ in range(n)]


class Texts:
    """Dataset of texts with a class each."""

    def __init__(self, found):
        self.found = found

    def __len__(self):
        return len(self.found)

    def __getitem__(self, place):
        return self.found[place], place % 2


def audited(test, train):
    return actlab.audit({"train": Texts(train), "test": Texts(test)})


def test_independent_texts_have_no_findings():
    assert audited(texts(200, 0), texts(800, 1)).clean


def test_a_copy_with_every_tenth_word_replaced_is_found():
    test, train = texts(200, 0), texts(800, 1)
    words = train[77].split()
    words[::10] = ["other"] * len(words[::10])
    test[5] = " ".join(words)

    found = audited(test, train)

    assert kinds(found) == [("near duplicates", ("test", "train"))]
    assert found.findings[0].examples == ((5, 77),)


def test_a_text_within_a_longer_one_is_found():
    test, train = texts(200, 0), texts(800, 1)
    train[77] = f"{train[77]} {test[5]} {train[78]}"

    assert of_kind(audited(test, train), "near duplicates", "test", "train")[0].examples == ((5, 77),)


def test_a_phrase_that_all_texts_begin_with_is_no_near_duplicate():
    phrase = " ".join(f"stock{number}" for number in range(60))
    test, train = ([f"{phrase} {text}" for text in part] for part in (texts(200, 0, 30), texts(800, 1, 30)))

    assert audited(test, train).clean


def test_when_all_texts_are_copies_all_are_found():
    train = texts(800, 1)

    found = audited([f"{text} end" for text in train[:200]], train)

    assert of_kind(found, "near duplicates", "test", "train")[0].count == 200


def test_the_threshold_rises_where_unrelated_texts_share_much():
    assert overlap_threshold(np.zeros(100), 0.01) == 0.5
    assert overlap_threshold(np.full(1000, 0.06), 0.01) > 0.9
