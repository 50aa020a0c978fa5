"""The text is the published one, and passages of plays end only where a scene surely does."""

import hashlib

from actlab.tasks.builtin.language.tiny_shakespeare import PLAYS, characters, passages, speeches, text

# Of https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt
PUBLISHED = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def test_the_text_is_the_published_one_to_the_byte():
    assert hashlib.sha256(text().encode()).hexdigest() == PUBLISHED


def test_numbers_and_alphabet_give_the_text_back():
    numbers, alphabet = characters()

    assert list(alphabet) == sorted(set(text()))
    assert "".join(alphabet[number] for number in numbers[-300:].tolist()) == text()[-300:]


def test_the_speeches_are_the_whole_text():
    found = [f"{speech.speaker}:\n{speech.words}".strip() for speech in speeches()]

    assert found == [part.strip() for part in text().split("\n\n")]


def test_each_play_begins_with_its_first_speech():
    first = {PLAYS[play][0]: next(s.words[:23] for s in speeches() if s.play == play) for play in range(len(PLAYS))}

    assert first["Richard III"] == "Now is the winter of ou"
    assert first["Richard II"] == "Old John of Gaunt, time"
    assert first["Romeo and Juliet"] == "Gregory, o' my word, we"
    assert first["Henry VI, Part 3"] == "I wonder how the king e"
    assert first["The Winter's Tale"] == "If you shall chance, Ca"
    assert first["Measure for Measure"] == "Escalus."
    assert first["The Taming of the Shrew"] == "I'll pheeze you, in fai"
    assert first["The Tempest"] == "Boatswain!"


def test_no_passage_belongs_to_two_plays():
    plays = {}
    for speech in speeches():
        assert plays.setdefault(speech.passage, speech.play) == speech.play


def test_two_casts_are_two_passages_and_a_speaker_who_stays_joins_them():
    assert passages([*"ABABAB", *"CDCDCD"]) == [0] * 6 + [1] * 6
    assert passages([*"ABABAB", *"CACDCD"]) == [0] * 12


def test_a_stranger_between_two_casts_leaves_them_together_because_his_scene_is_unknown():
    assert passages([*"ABABAB", "M", *"CDCDCD"]) == [0] * 13
