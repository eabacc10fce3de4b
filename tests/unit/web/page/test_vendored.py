"""Scripts of others: exactly what their makers have published."""

import hashlib
from importlib.resources import files

STATIC = files("forwarder.web.page").joinpath("static")


def test_they_are_what_the_list_says() -> None:
    """Each has its version, its licence and its hash beside it."""
    listed = STATIC.joinpath("licences", "vendored.txt").read_text()
    rows = [row.split() for row in listed.splitlines() if ".min.js" in row]
    assert {row[0] for row in rows} == {
        one.name for one in STATIC.iterdir() if one.name.endswith(".min.js")
    }
    for name, _, _, digest in rows:
        assert hashlib.sha256(STATIC.joinpath(name).read_bytes()).hexdigest() == digest
        assert STATIC.joinpath("licences", name.replace(".min.js", ".txt")).is_file()
