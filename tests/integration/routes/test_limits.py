"""Files that are too large, too deep, or made to explode: refused before they cost anything."""

from pathlib import Path

import pytest
from support.routing import ENDPOINT, problems_of, routes_of

from forwarder.reading import Device
from forwarder.routes import Rejection
from forwarder.routes.document import MOST_LEVELS, MOST_NODES, compose, plain
from forwarder.routes.load import read_routes
from forwarder.routes.problems import PLENTY
from forwarder.routes.syntax import Unparseable


def test_huge_file_is_refused_by_its_size(tmp_path: Path) -> None:
    """50 MB are not even read: this file is sparse, and no YAML at all."""
    file = tmp_path / "routes.yaml"
    with file.open("wb") as sparse:
        sparse.truncate(50_000_000)

    assert read_routes(file, environ={}).problems == (f"{file} is larger than 4,096 KiB",)


def test_file_without_an_end_is_refused(tmp_path: Path) -> None:
    """A device that says it is empty and never ends is not even opened."""
    file = tmp_path / "routes.yaml"
    file.symlink_to("/dev/zero")

    assert read_routes(file, environ={}).problems == (
        f"{file} is a device; expected a regular file",
    )


def test_missing_file_has_its_sentence(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"

    assert read_routes(file, environ={}).problems == (
        f"cannot read {file}: No such file or directory",
    )


def test_file_in_another_encoding_has_its_sentence(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_bytes("# ours\nendpoints: {Zürich: 1}\n".encode("latin-1"))

    assert read_routes(file, environ={}).problems == (f"{file} is not UTF-8 text (line 2)",)


def test_oversized_secret_file_is_not_read(tmp_path: Path) -> None:
    """A secret is a line; a path that leads to something large is a mistake."""
    (tmp_path / "big").write_bytes(b"x" * 65_537)

    problems = problems_of(ENDPOINT.replace("env:KEY", "file:big"), folder=tmp_path)

    assert problems == ['routes.yaml:4:13: endpoint "acme": secret: big is larger than 64 KiB']


def test_billion_laughs_are_refused(tmp_path: Path) -> None:
    """Aliases that multiply are counted, not followed."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    problems = problems_of("\n".join(lines), folder=tmp_path)

    assert problems == [
        f"routes.yaml:6:30: it holds more than {MOST_NODES:,} values, its aliases written out"
    ]


def test_billion_laughs_by_merge_keys_are_refused(tmp_path: Path) -> None:
    """Nested mappings that double with each level are counted likewise."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{l: *a{n - 1}, r: *a{n - 1}}}" for n in range(1, 40)]

    (problem,) = problems_of("\n".join(lines), folder=tmp_path)

    assert problem.endswith(f"it holds more than {MOST_NODES:,} values, its aliases written out")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused(opening: str) -> None:
    """However deep, and whichever kind: no stack overflows."""
    with pytest.raises(Unparseable, match=f"more than {MOST_LEVELS} levels deep"):
        compose(opening * 5_000)


def test_deep_nesting_by_aliases_is_refused() -> None:
    """A chain of aliases is as deep as what it stands for."""
    chain = "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 1000))

    with pytest.raises(Unparseable, match=f"more than {MOST_LEVELS} levels deep"):
        compose("a0: &a0 [x]\n" + chain)


def test_scalars_stay_text() -> None:
    """Nothing is converted but a written null: not numbers, dates, booleans, infinities or base 60."""
    text = "[1E2345678901, 00:11:22:33:44:55, 0o14, .inf, 2025-11-18, yes, '~', ~, null]"

    root = compose(text).root

    assert root is not None
    assert plain(root) == [
        "1E2345678901", "00:11:22:33:44:55", "0o14", ".inf", "2025-11-18", "yes", "~", None, None
    ]  # fmt: skip


def test_large_fleet_and_thousands_of_endpoints_load(tmp_path: Path) -> None:
    """100,000 devices and 2,000 endpoints are within every limit."""
    (tmp_path / "fleet.txt").write_text("".join(f"{number:012X}\n" for number in range(100_000)))
    text = "groups: {fleet: {file: fleet.txt}}\ndefaults: {url: 'https://a.example/', secret: env:KEY}\n"
    endpoints = "".join(f"  e{number}: {{groups: [fleet]}}\n" for number in range(2_000))

    routes = routes_of(f"{text}endpoints:\n{endpoints}", folder=tmp_path)

    assert len(routes.match(Device(f"{99_999:012X}"))) == 2_000


def test_a_file_of_something_else_is_not_told_line_by_line(tmp_path: Path) -> None:
    """Of a million lines that are no devices, 100 are told and the others counted, without a word of what they say."""
    (tmp_path / "big").write_text("hunter2\n" * 1_000_000)
    text = "groups: {a: {file: big}, b: {file: big}}\n" + ENDPOINT

    problems = problems_of(text, folder=tmp_path)

    assert len(problems) == 101
    assert problems[0].startswith("big:1:1: 7 characters that are no device: ")
    assert problems[-1] == "routes.yaml: and 999,900 more problems like these"
    assert "hunter2" not in str(problems)


def test_as_many_values_without_an_alias_are_refused_too(tmp_path: Path) -> None:
    """What costs is how many there are, not how they are written."""
    values = ",".join(["1"] * (MOST_NODES + 1))

    (problem,) = problems_of(f"groups: [{values}]", folder=tmp_path)

    assert problem.endswith(f"it holds more than {MOST_NODES:,} values, its aliases written out")


def test_after_very_many_mistakes_no_more_are_looked_for(tmp_path: Path) -> None:
    """20,000 endpoints that are all wrong cost no more than the first thousand."""
    endpoints = "".join(f"  e{number}: {{groups: [none]}}\n" for number in range(20_000))

    rejection = read_routes(_written(tmp_path, f"endpoints:\n{endpoints}"), environ={}).outcome

    assert isinstance(rejection, Rejection)
    assert PLENTY <= rejection.count < PLENTY + 10
    assert rejection.place == f"{tmp_path}/routes.yaml:2:3"


def _written(folder: Path, text: str) -> Path:
    file = folder / "routes.yaml"
    file.write_text(text)
    return file
