"""Configured files are opened in one place: a reader of its own would wait for a FIFO, or show what it reads."""

import ast
from collections.abc import Iterator
from pathlib import Path

from support.sources import nodes

FORWARDER = Path(__file__).parents[2] / "forwarder"
OPENING = frozenset({"open", "read_text", "read_bytes", "fdopen", "open_code"})
LOADING = frozenset({"load_cert_chain", "load_verify_locations", "create_default_context"})
ALLOWED = {
    "files.py": {"open"},  # the reader
    "cli/output.py": {"open"},  # the standard descriptors
    "demo/process.py": {"open", "read_text"},  # the log of the process that the demo starts
    "variables.py": {"read_text"},  # a resource of the package
    "web/page/assets.py": {"read_bytes"},  # likewise
    "outbox/sqlite/file.py": {"read_text"},  # likewise
    "outbox/postgresql/schema.py": {"read_text"},  # likewise
    "outbox/sqlite/copying.py": {"open"},  # a folder and a file of its own, for fsync
    "subscriber/trial.py": {"open"},  # a connection
    "subscriber/session.py": {"open"},
}
READ_BEFORE = {
    "routes/tls.py": {"load_cert_chain", "load_verify_locations"},
    "settings/broker.py": {"load_verify_locations"},
    "sender/tls.py": {"load_cert_chain", "load_verify_locations"},
    "subscriber/tls.py": {"load_cert_chain", "create_default_context"},
}
"""OpenSSL is given what was read (`cadata`), or paths that the reader has just looked at."""


def calls(names: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Each call of a function or method of one of these names, with its module."""
    for path in sorted(FORWARDER.rglob("*.py")):
        for node in nodes(path):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
                if called in names and not (_is_ours(node.func) or _opens_nothing(node)):
                    yield str(path.relative_to(FORWARDER)), called


def _is_ours(function: ast.expr) -> bool:
    """The reader's own `read_bytes` is called by its bare name."""
    return isinstance(function, ast.Name) and function.id == "read_bytes"


def _opens_nothing(call: ast.Call) -> bool:
    """/dev/null is nobody's file."""
    return (
        bool(call.args)
        and isinstance(call.args[0], ast.Attribute)
        and call.args[0].attr == "devnull"
    )


def test_files_are_opened_by_the_one_reader() -> None:
    """Nothing under forwarder/ opens a file by itself, but for what is its own."""
    found: dict[str, set[str]] = {}
    for module, called in calls(OPENING):
        found.setdefault(module, set()).add(called)

    assert found == ALLOWED


def test_certificates_are_read_before_openssl_opens_them() -> None:
    """Whoever hands a file to OpenSSL is listed here, and uses the reader."""
    found: dict[str, set[str]] = {}
    for module, called in calls(LOADING):
        found.setdefault(module, set()).add(called)

    assert found == READ_BEFORE
    for module in READ_BEFORE:
        assert "forwarder.files import" in (FORWARDER / module).read_text()
