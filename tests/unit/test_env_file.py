"""`.env`: what it says is taken as it stands, and what says nothing is an error with its line."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.errors import SettingsError
from forwarder.settings import environment
from forwarder.settings.env_file import MOST_PROBLEMS, parse, quote

PASSWORDS = [
    ("plain", "s3cr3t", "s3cr3t"),
    ("a dollar", "pa$$word", "pa$$word"),
    ("what looks like a variable", "pa${HOME}word", "pa${HOME}word"),
    ("the same in single quotes", "'pa${HOME}word'", "pa${HOME}word"),
    ("the same in double quotes", '"pa${HOME}$USER"', "pa${HOME}$USER"),
    ("a hash within", "pa#word", "pa#word"),
    ("a hash at its begin", "#password", "#password"),
    ("a hash after a blank, quoted", "'pass #word'", "pass #word"),
    ("quotes within", "pa'ss\"word", "pa'ss\"word"),
    ("a quote at its end", "password'", "password'"),
    ("a double quote, in single ones", "'\"password\"'", '"password"'),
    ("a single quote, in double ones", "\"'password'\"", "'password'"),
    ("both quotes", r'''"pa'ss\"word"''', "pa'ss\"word"),
    ("a backslash", r"pa\nss\word", r"pa\nss\word"),
    ("a backslash in single quotes", r"'pa\nss\'", "pa\\nss\\"),
    ("a backslash in double quotes", r'"pa\\ss"', r"pa\ss"),
    ("blanks within", "correct horse battery", "correct horse battery"),
    ("blanks around, quoted", "'  s3cr3t '", "  s3cr3t "),
    ("an equals sign", "cGFzc3dvcmQ==", "cGFzc3dvcmQ=="),
    ("other letters", "pässwörd€", "pässwörd€"),
]


@pytest.mark.parametrize(
    ("written", "meant"), [case[1:] for case in PASSWORDS], ids=[case[0] for case in PASSWORDS]
)
def test_password_means_what_stands_there(
    written: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is interpolated, nothing is cut."""
    monkeypatch.setenv("HOME", "/root")

    read = parse(f"PASSWORD={written}\n", name=".env")

    assert (dict(read.values), read.problems) == ({"PASSWORD": meant}, ())


@pytest.mark.parametrize(
    "text",
    [
        "A=1\nB=2",
        "A=1\r\nB=2\r\n",
        "\n# A=0\n  A = 1  \n\texport B=2\n",
        "A='1' # one\nB=\"2\"\t#two\n",
        "A='1'\r\nB=\"2\"\r\n",
    ],
)
def test_forms_of_a_line(text: str) -> None:
    """Windows line ends, comments, blanks and `export` do not count."""
    read = parse(text, name=".env")

    assert (dict(read.values), read.problems) == ({"A": "1", "B": "2"}, ())


def test_examples_of_the_page_mean_what_it_says() -> None:
    """docs/operating.md tells operators how to write a password."""
    page = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    rows = re.findall(r"^`NAME=(.+?)` \| `(.+?)`:", page, re.MULTILINE)

    assert len(rows) == 3
    for written, meant in rows:
        assert parse(f"NAME={written}", name=".env").values == {"NAME": meant}


def test_empty_value_is_one() -> None:
    assert parse("A=\nB=''\n", name=".env").values == {"A": "", "B": ""}


WRONG = [
    ('NAME="s3cr3t', r'begins with " and has no "'),
    ("NAME='s3cr3t", "begins with ' and has no '"),
    ("NAME='s3'cr3t'", "more after the closing '; .* stands in double quotes"),
    ('NAME="s3"cr3t', r'more after the closing "'),
    (r'NAME="s3\cr3t"', "in double quotes"),
    ("NAME=s3cr3t # the second one", "a # after a blank"),
    ("NAME= #s3cr3t", "a # after a blank"),
    ("NAME: s3cr3t", "expected NAME=value"),
    ("s3cr3t", "expected NAME=value"),
    ("my.name=s3cr3t", "expected NAME=value"),
    ("=s3cr3t", "expected NAME=value"),
    ("NAME=s3\0cr3t", "NUL"),
    ("A=s3cr3t", "the same name as in line 1"),
]


@pytest.mark.parametrize(("line", "why"), WRONG)
def test_line_that_cannot_be_read_is_told_with_its_place(line: str, why: str) -> None:
    """The other lines count, and nothing of what stands in it is told."""
    read = parse(f"A=1\n{line}\nB=2\n", name="/etc/.env")

    (problem,) = read.problems
    assert re.match(rf"/etc/\.env:2: .*{why}", problem)
    assert "s3" not in problem
    assert read.values == {"A": "1", "B": "2"}


def test_file_of_another_kind_is_not_told_line_by_line() -> None:
    read = parse("endpoints:\n" * 1000, name=".env")

    assert len(read.problems) == MOST_PROBLEMS + 1
    assert read.problems[-1] == ".env: 980 more lines like these; is it a .env file?"


def test_every_problem_ends_the_start_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("A=1\nB\nC='\n")

    with pytest.raises(SettingsError) as caught:
        environment()

    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [
        ".env:2",
        ".env:3",
    ]


VALUES = st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]))


@given(VALUES)
def test_quoted_value_is_read_as_it_was(value: str) -> None:
    """Whatever a password holds, there is a way to write it, and `quote` knows it."""
    assert parse(f"A={quote(value)}", name=".env").values == {"A": value}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Each line is a comment, a value or a problem."""
    read = parse(text, name=".env")

    assert len(read.values) + len(read.problems) <= len(text.split("\n"))


def test_line_break_cannot_be_quoted() -> None:
    with pytest.raises(ValueError, match="line break"):
        quote("a\nb")
