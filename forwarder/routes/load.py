"""Loading turns a routing file, with the files that it names, into Routes or into every problem in them."""

from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from forwarder.errors import RoutesError
from forwarder.files import Unreadable, as_text
from forwarder.notice import OPERATOR
from forwarder.reading import Device
from forwarder.routes.devices import group_among_devices, read_lines, read_list
from forwarder.routes.document import Entry, Mapping, Node, Scalar, Sequence, compose, find, plain
from forwarder.routes.endpoints import EndpointReader, Given, unknown_group
from forwarder.routes.files import Files, Seen, Wanted
from forwarder.routes.model import Endpoint, EndpointName, Routes, Selection
from forwarder.routes.problems import Problem, Problems, Rejection, nearest, shown
from forwarder.routes.secrets import Vault
from forwarder.routes.sentences import describe, locate, without_echoes
from forwarder.routes.spec import (
    NOT_FOR_NOTICES,
    AuthSpec,
    BasicSpec,
    BatchSpec,
    EndpointSpec,
    GroupFile,
    OAuth2Spec,
    OperatorSpec,
    RetrySpec,
    RoutesSpec,
    TlsSpec,
    is_name,
)
from forwarder.routes.syntax import Unparseable
from forwarder.routes.table import build_table
from forwarder.routes.templates import Templates
from forwarder.routes.tls import Certificates

_KNOWN = {
    path: tuple(spec.model_fields)
    for path, spec in (
        ("", EndpointSpec),
        ("batch", BatchSpec),
        ("retry", RetrySpec),
        ("auth", AuthSpec),
        ("auth.basic", BasicSpec),
        ("auth.oauth2", OAuth2Spec),
        ("tls", TlsSpec),
    )
}
_NOWHERE = Mapping({}, 0, 0)


@dataclass(frozen=True, slots=True)
class Load:
    """The outcome of one look at the files: routes, or the problems that forbid them."""

    outcome: Routes | Rejection
    seen: AbstractMapping[Wanted, Seen]
    """Every file that was looked at, missing ones included, because a change of any is worth another look."""

    @property
    def routes(self) -> Routes | None:
        return None if isinstance(self.outcome, Rejection) else self.outcome

    @property
    def problems(self) -> tuple[str, ...]:
        return self.outcome.sentences if isinstance(self.outcome, Rejection) else ()

    def require(self) -> Routes:
        """The routes. Raises RoutesError with every problem."""
        if isinstance(self.outcome, Rejection):
            raise RoutesError(self.outcome.sentences)
        return self.outcome


def load_routes(
    path: Path, *, environ: AbstractMapping[str, str], secrets_dir: Path | None = None
) -> Routes:
    """
    The routes of a file. Relative paths in it start at its folder, and `env:` looks into `environ`.

    Secrets in files have to lie below `secrets_dir`, if that is given. Raises RoutesError with every problem, each a
    sentence with file, line and column. It reads files and does nothing else, so it can run in a thread.
    """
    return read_routes(path, environ=environ, secrets_dir=secrets_dir).require()


def read_routes(
    path: Path,
    *,
    environ: AbstractMapping[str, str],
    secrets_dir: Path | None = None,
    content: bytes | None = None,
    files: Files | None = None,
) -> Load:
    """
    The same as `load_routes`, but it never raises, and notes every file that was read.

    `content` is the routing file's, if it is read already. `files` reads in place of our own Files, if it is given.
    """
    files = files or Files(path.parent, secrets_dir)
    problems = Problems(path)
    try:
        text = files.routes(path) if content is None else as_text(content, path)
    except Unreadable as unreadable:
        return Load(Rejection.of_file(path, str(unreadable)), files.seen)
    routes = _parse(text, files, environ, problems)
    return Load(problems.rejection() if routes is None or problems else routes, files.seen)


def _parse(
    text: str, files: Files, environ: AbstractMapping[str, str], problems: Problems
) -> Routes | None:
    try:
        document = compose(text)
    except Unparseable as unparseable:
        _add(problems, unparseable.problem)
        return None
    for problem in document.problems:
        _add(problems, problem)
    reader = EndpointReader(Vault(environ, files), Certificates(files), Templates(files), problems)
    return _Loader(files, problems, reader).load(document.root)


def _add(problems: Problems, problem: Problem) -> None:
    problems.add(problem.text, line=problem.line, column=problem.column)


def _is_empty(node: Node) -> bool:
    if isinstance(node, Scalar):
        return node.is_blank or node.is_null
    return isinstance(node, Mapping) and not node.entries


@dataclass(slots=True)
class _Loader:
    """Walks the three sections of one document."""

    files: Files
    problems: Problems
    reader: EndpointReader
    groups: dict[str, frozenset[Device]] = field(default_factory=dict)
    lists: dict[Path, frozenset[Device]] = field(default_factory=dict)

    def load(self, root: Node | None) -> Routes:
        sections = self._sections(root)
        for name, entry in self._named(sections.get("groups"), "group"):
            self.groups[name] = self._group(name, entry)
        defaults = self._section(sections.get("defaults"), "defaults")
        default_spec, _ = self._validate(defaults, "defaults")
        endpoints: dict[EndpointName, Endpoint] = {}
        selections: dict[EndpointName, Selection] = {}
        for name, entry in self._named(sections.get("endpoints"), "endpoint"):
            if self.problems.are_plenty:
                break
            given = self._given(EndpointName(name), entry, defaults, default_spec)
            if given is not None:
                endpoints[given.name] = self.reader.read(given)
                selections[given.name] = self._selection(given)
        if "operator" in sections:
            operator = self._operator(sections["operator"])
            endpoints[operator.name], selections[operator.name] = operator, Selection()
        return build_table(endpoints, selections, self.groups)

    def _sections(self, root: Node | None) -> dict[str, Entry]:
        if root is None or _is_empty(root):
            self._tell(
                Mapping({}, 1, 1),
                "the file is empty; it needs endpoints: with at least one endpoint",
            )
            return {}
        if not isinstance(root, Mapping):
            self._tell(root, "expected the keys groups, defaults and endpoints")
            return {}
        for name, entry in root.entries.items():
            self._check_section_name(name, entry.key)
        if "endpoints" not in root.entries:
            self._tell(root, "endpoints is missing; at least one endpoint is needed")
        elif _is_empty(root.entries["endpoints"].value):
            self._tell(
                root.entries["endpoints"].key, "endpoints is empty; at least one endpoint is needed"
            )
        return root.entries

    def _check_section_name(self, name: str, key: Scalar) -> None:
        known = tuple(RoutesSpec.model_fields)
        if name not in known:
            hint = nearest(name, known) or f"; known here: {', '.join(known)}"
            self._tell(key, f"unknown key {shown(name)}{hint}")

    def _section(self, entry: Entry | None, name: str) -> Mapping:
        if entry is None:
            return _NOWHERE
        value = entry.value
        if isinstance(value, Mapping):
            return value
        if not _is_empty(value):
            self._tell(value, f"{name}: expected a mapping of names to settings")
        return _NOWHERE

    def _named(self, entry: Entry | None, kind: str) -> list[tuple[str, Entry]]:
        section = self._section(entry, f"{kind}s").entries
        for name, named in section.items():
            if kind == "endpoint" and name == OPERATOR:
                text = f"endpoint {name}: this name is for notices about the service; {name}: stands beside endpoints:"
                self._tell(named.key, text)
            if not is_name(name):
                text = f"{kind} {shown(name)}: expected a name of letters, digits, _, . and -, at most 63"
                self._tell(named.key, text)
        return list(section.items())

    def _group(self, name: str, entry: Entry) -> frozenset[Device]:
        owner = f"group {shown(name)}"
        if isinstance(entry.value, Sequence):
            return read_list(entry.value, owner=owner, problems=self.problems)
        try:
            group = GroupFile.model_validate(plain(entry.value))
        except ValidationError:
            text = f"{owner}: expected a list such as [ECC9FF5C7AD4], or {{file: fleet.txt}}"
            self._tell(entry.value, text)
            return frozenset()
        try:
            return self._list(self.files.locate(group.file))
        except Unreadable as unreadable:
            self._tell(entry.value, f"{owner}: {unreadable}")
            return frozenset()

    def _list(self, path: Path) -> frozenset[Device]:
        """The devices of a file, which is read once, however many groups name it. Raises Unreadable."""
        if path not in self.lists:
            text = self.files.devices(path)
            self.lists[path] = read_lines(text, file=path, problems=self.problems)
        return self.lists[path]

    def _operator(self, entry: Entry) -> Endpoint:
        """The operator's endpoint. It takes no defaults, because these may hold secrets for receivers of readings."""
        settings = self._section(entry, OPERATOR)
        for name in NOT_FOR_NOTICES:
            if name in settings.entries:
                text = f"{OPERATOR}: {name} is for readings; notices have none"
                self._tell(settings.entries[name].key, text)
        spec, wrong = self._validate(settings, OPERATOR, OperatorSpec)
        name = EndpointName(OPERATOR)
        given = Given(name, spec, entry.key, settings, _NOWHERE, frozenset(), wrong)
        return self.reader.read(given)

    def _given(
        self, name: EndpointName, entry: Entry, defaults: Mapping, default_spec: EndpointSpec
    ) -> Given | None:
        owner = f"endpoint {shown(name)}"
        if not isinstance(entry.value, Mapping):
            self._tell(
                entry.key,
                f"{owner}: expected a mapping with at least url, secret and devices or groups",
            )
            return None
        own_spec, wrong = self._validate(entry.value, owner)
        own = own_spec.model_fields_set | wrong
        inherited = default_spec.model_fields_set - own
        # An endpoint that names devices or groups gets these alone, and none of the defaults.
        if own & {"devices", "groups"}:
            inherited -= {"devices", "groups"}
        merged = {
            **{setting: getattr(default_spec, setting) for setting in inherited},
            **{setting: getattr(own_spec, setting) for setting in own_spec.model_fields_set},
        }
        spec = EndpointSpec.model_construct(**merged)
        return Given(name, spec, entry.key, entry.value, defaults, frozenset(inherited), wrong)

    def _validate(
        self, settings: Mapping, owner: str, form: type[EndpointSpec] = EndpointSpec
    ) -> tuple[EndpointSpec, frozenset[str]]:
        """The good settings, and the names of the others, which have become problems."""
        values = plain(settings)
        try:
            return form.model_validate(values), frozenset()
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False)
        for error in without_echoes(errors):
            known = {**_KNOWN, "": tuple(form.model_fields)}
            text = self._one_group(error, settings) or describe(error, settings, known)
            self._tell(locate(error, settings), f"{owner}: {text}")
        wrong = frozenset(str(error["loc"][0]) for error in errors)
        good = Mapping(
            {name: entry for name, entry in settings.entries.items() if name not in wrong}, 0, 0
        )
        return form.model_validate(plain(good)), wrong

    def _one_group(self, error: ErrorDetails, settings: Mapping) -> str | None:
        """The advice for `devices: zurich`, where zurich is a group."""
        node = find(settings, error["loc"])
        if error["loc"] == ("devices",) and isinstance(node, Scalar) and node.text in self.groups:
            return f"devices: {group_among_devices(node.text)}"
        return None

    def _selection(self, given: Given) -> Selection:
        spec = given.spec
        if spec.devices is None and spec.groups is None and not given.wrong & {"devices", "groups"}:
            self._tell(
                given.title,
                f'{given.owner("")}: devices or groups is missing; devices: "*" means every device',
            )
        if spec.devices == ("*",):
            return Selection(wants_every_device=True, groups=self._groups(given))
        listed = given.node("devices")
        if spec.devices is None or not isinstance(listed, Sequence):
            return Selection(groups=self._groups(given))
        devices = read_list(
            listed,
            owner=f"{given.owner('devices')}: devices",
            problems=self.problems,
            groups=self.groups,
        )
        return Selection(devices=devices, groups=self._groups(given))

    def _groups(self, given: Given) -> tuple[str, ...]:
        known = []
        for index, name in enumerate(given.spec.groups or ()):
            if name in self.groups:
                known.append(name)
            else:
                text = f"{given.owner('groups')}: {unknown_group(name, list(self.groups))}"
                self._tell(given.node("groups", index), text)
        return tuple(dict.fromkeys(known))

    def _tell(self, node: Node, text: str) -> None:
        self.problems.add(text, line=node.line, column=node.column)
