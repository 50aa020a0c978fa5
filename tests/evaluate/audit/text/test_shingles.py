"""Shingles and patterns of words, characters and token ids."""

import numpy as np

from actlab.evaluate.audit.text.shingles import patterns, shingles, token_kind, tokens_of


def keys(text, length, kind="words"):
    return set(shingles(tokens_of([text], kind), length)[0].tolist())


def test_case_and_punctuation_do_not_matter():
    assert keys("The cat, the DOG!", 3) == keys("the cat the dog", 3)


def test_there_is_one_shingle_for_each_run_and_none_across_texts():
    found, owner = shingles(tokens_of(["a b c d", "e f g"], "words"), 3)

    assert np.bincount(owner).tolist() == [2, 1]
    assert len(set(found.tolist())) == 3


def test_a_short_text_is_one_shingle():
    assert keys("good morning", 5) == keys("Good morning!", 5)
    assert keys("good morning", 5) != keys("good evening", 5)


def test_padding_has_no_shingles():
    rows = np.array([[5, 6, 7, 8, 0, 0, 0, 0, 0, 0]])

    assert len(shingles(tokens_of(rows, "characters"), 4)[0]) == 10 - 4 + 1 - 3


def test_ids_of_any_vocabulary_have_the_pattern_of_their_text():
    text = "to be, or not to be, that is the question"
    ids = np.array([[sorted(set(text)).index(c) for c in text]])

    of_text, _ = patterns(tokens_of([text], "characters"), 20)
    of_ids, _ = patterns(tokens_of(ids, "characters"), 20)

    assert (of_text == of_ids).all()
    assert len(set(of_text.tolist())) == len(of_text)


def test_the_kind_of_token_follows_from_the_texts():
    assert token_kind(["some words here"]) == "words"
    assert (
        token_kind(
            [
                "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u306b\u306f\u8a9e\u306e\u9593\u306b\u7a7a\u767d\u304c\u306a\u3044\u306e\u3067\u3059"
            ]
        )
        == "characters"
    )
    assert token_kind(np.array([[3, 64]])) == "characters"
    assert token_kind(np.array([[3, 50_000]])) == "token ids"
