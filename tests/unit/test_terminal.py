import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.terminal import HOSTILE

from forwarder.terminal import folded, plain, plain_json, plain_lines


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_becomes_letters(text: str) -> None:
    """Nothing is left that a terminal acts on, and what there was can still be read."""
    assert plain(text).isprintable()
    assert "forged" in plain(text) or "forged" not in text


@given(st.text(st.characters()))
def test_plain_text_is_printable_and_stays_as_it_is(text: str) -> None:
    """Escaping twice is escaping once, so that several layers may do it."""
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)


@given(st.text())
def test_lines_stay_apart(text: str) -> None:
    shown = plain_lines(text)
    assert len(shown.split("\n")) == len(text.split("\n"))
    assert all(letter.isprintable() or letter in "\n\t" for letter in shown)


@given(st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_means_the_same(value: object) -> None:
    """The `\\u` escapes of JSON hide nothing from a program."""
    shown = plain_json(json.dumps(value, ensure_ascii=False))
    assert shown.isprintable()
    assert json.loads(shown) == value


@given(st.lists(st.text("ab", min_size=1, max_size=40), min_size=1), st.integers(1, 100))
def test_folded_text_fits_and_keeps_its_words(words: list[str], width: int) -> None:
    """No line is wider, unless one word is; the words are what they were, those below stand indented."""
    text = " ".join(words)

    first, *others = folded(text, width=width, indent=2).split("\n")

    room = max(width, 32)
    assert all(len(line) <= room or " " not in line.strip() for line in (first, *others))
    assert all(line.startswith("  ") and line[2] != " " for line in others)
    assert " ".join([first, *(line.strip() for line in others)]) == text


def test_without_a_width_nothing_is_folded() -> None:
    """Programs read one sentence as one line."""
    assert folded("word " * 100, width=None, indent=2) == "word " * 100
