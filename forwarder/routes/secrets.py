"""Secrets as the routing file gives them: `env:NAME`, `file:/path`, or the text itself."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from forwarder.files import Unreadable
from forwarder.routes.files import Files
from forwarder.routes.model import SigningKey
from forwarder.routes.problems import nearest, shown
from forwarder.settings import PREFIX
from forwarder.units import count_of

SHORTEST_KEY_BYTES = 24
LONGEST_KEY_BYTES = 64

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE_VARIABLE = re.compile(r"(?:\$\{?)?([A-Za-z_][A-Za-z0-9_]*)\}?")
_EXPECTED = "expected whsec_… as `forwarder secret` prints it"


@dataclass(frozen=True, slots=True)
class Vault:
    """The vault resolves references in the environment and in files."""

    environ: Mapping[str, str]
    files: Files

    def resolve(self, reference: str) -> str:
        """
        The text that a reference stands for, without the blanks around it. Any other text stands for itself.

        Raises ValueError with the variable or file that is missing or empty, and never with its content.
        """
        if reference.startswith("env:"):
            return self._from_environment(reference.removeprefix("env:").strip())
        if reference.startswith("file:"):
            return self._from_file(reference.removeprefix("file:").strip())
        return reference.strip()

    def parse_key(self, reference: str) -> SigningKey:
        """
        The signing key that a reference stands for.

        Raises ValueError, with a hint when the text is a variable's name without `env:`.
        """
        text = self.resolve(reference)
        try:
            return parse_signing_key(text)
        except ValueError as wrong:
            raise ValueError(f"{wrong}{self._hint(reference)}") from None

    def _hint(self, reference: str) -> str:
        """A hint that tells only the name of an existing variable, because any other text may be a secret."""
        meant = _BARE_VARIABLE.fullmatch(reference.strip())
        # `in self.environ` would not do, because an environment of placeholders holds every name.
        if meant and meant[1] in tuple(self.environ):
            return f"; did you mean env:{meant[1]}?"
        return "; a variable is written env:NAME" if reference.startswith("$") else ""

    def _from_environment(self, name: str) -> str:
        if _VARIABLE.fullmatch(name) is None:
            raise ValueError("expected env: and the name of an environment variable")
        if name.upper().startswith(PREFIX):
            raise ValueError(
                f"{shown(name)} is a setting of the forwarder itself, and those are sent to nobody; give what is meant"
                " for the receiver a variable of its own"
            )
        value = self.environ.get(name)
        if value is None:
            hint = nearest(name, self.environ)
            raise ValueError(f"the environment variable {shown(name)} is not set{hint}")
        if not value.strip():
            raise ValueError(f"the environment variable {shown(name)} is empty")
        return value.strip()

    def _from_file(self, name: str) -> str:
        if not name:
            raise ValueError("expected file: and a path")
        try:
            return self.files.secret(self.files.locate(name))
        except Unreadable as unreadable:
            raise ValueError(str(unreadable)) from None


def parse_signing_key(text: str) -> SigningKey:
    """
    The key that `whsec_` and standard base64 of 24 to 64 bytes encode (Standard Webhooks 1.0.0).

    Raises ValueError with a clause that never holds any part of the text.
    """
    if not text.startswith("whsec_"):
        raise ValueError(_EXPECTED)
    secret = _decode(text.removeprefix("whsec_"))
    if not SHORTEST_KEY_BYTES <= len(secret) <= LONGEST_KEY_BYTES:
        raise ValueError(
            f"whsec_… holds {count_of(len(secret), 'byte')}; expected {SHORTEST_KEY_BYTES} to {LONGEST_KEY_BYTES},"
            " as `forwarder secret` prints it"
        )
    return SigningKey(secret)


def _decode(encoded: str) -> bytes:
    if "-" in encoded or "_" in encoded:
        raise ValueError(
            "whsec_… is in url-safe base64; write it in standard base64, + for - and / for _"
        )
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            "whsec_… is not standard base64 (is it complete, with its = at the end?)"
        ) from None
