"""A routing file can be checked without its secrets: in CI, or by people who may not know them."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forwarder.routes.files import Files


@dataclass(frozen=True, slots=True)
class AnyEnvironment(Mapping[str, str]):
    """
    An environment in which every variable is set. A variable that `real` lacks holds a key that nobody has.

    `missing` remembers those variables. The devices of a routing file do not depend on them.
    """

    real: Mapping[str, str] = field(default_factory=dict, repr=False)
    missing: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> str:
        if name in self.real:
            return self.real[name]
        self.missing.add(name)
        return _key(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.real)

    def __len__(self) -> int:
        return len(self.real)


@dataclass(slots=True)
class AnyFiles(Files):
    """Files among which every secret is there. `missing` remembers the secrets that are not."""

    missing: set[Path] = field(default_factory=set)

    def secret(self, path: Path) -> str:
        # Not super(), which without arguments does not know the class that `slots` made anew.
        if path.exists():
            return Files.secret(self, path)
        self.missing.add(path)
        return _key(str(path))


def _key(name: str) -> str:
    return "whsec_" + base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()
