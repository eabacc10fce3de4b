"""The reader of endpoints checks an endpoint's settings one by one, and makes the Endpoint that the dispatcher uses."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias, TypeVar

from forwarder.body_template import BodyTemplate, TemplateMistakes
from forwarder.notice import OPERATOR
from forwarder.reading import parse_mac
from forwarder.routes.document import Mapping, Node, find, find_key
from forwarder.routes.headers import (
    check_header_name,
    check_header_value,
    check_password,
    check_token,
    check_username,
)
from forwarder.routes.model import (
    AfterIntervals,
    Auth,
    BasicAuth,
    BatchLimits,
    BearerAuth,
    Endpoint,
    EndpointName,
    OAuth2,
    RateLimit,
    RetrySchedule,
    SigningKey,
    SilentAfter,
    TlsFiles,
)
from forwarder.routes.problems import Problems, dotted, nearest, shown
from forwarder.routes.secrets import Vault
from forwarder.routes.spec import BasicSpec, EndpointSpec, OAuth2Spec, OperatorSpec
from forwarder.routes.templates import Templates, check_content_type, misplaced
from forwarder.routes.tls import Certificates
from forwarder.routes.urls import check_url, without_device
from forwarder.statuses import AnswerRules, answer_rules

T = TypeVar("T")
Path: TypeAlias = tuple[str | int, ...]
"""The keys and indices that lead to a setting."""

_USUAL_INTERVALS = 3.0
"""Intervals after which a device is silent, unless its endpoint says otherwise."""
_MAX_AGE_SECONDS = {"every": 86400.0, "latest": 90.0}


@dataclass(frozen=True, slots=True)
class Given:
    """The settings of one endpoint, its own over the defaults, and the place of each."""

    name: EndpointName
    spec: EndpointSpec
    title: Node
    """The endpoint's name in the file, which is the place of missing settings."""
    own: Mapping
    defaults: Mapping
    inherited: frozenset[str]
    wrong: frozenset[str]
    """Settings that have a problem already, so that they are not called missing too."""

    def node(self, *path: str | int) -> Node:
        return find(self.defaults if path[0] in self.inherited else self.own, path)

    def key(self, *path: str | int) -> Node:
        return find_key(self.defaults if path[0] in self.inherited else self.own, path)

    def owner(self, setting: str | int) -> str:
        if isinstance(self.spec, OperatorSpec):
            return OPERATOR
        return "defaults" if setting in self.inherited else f"endpoint {shown(self.name)}"


@dataclass(frozen=True, slots=True)
class EndpointReader:
    """Turns given settings into an Endpoint. A harmless value stands in for a wrong one, which becomes a problem."""

    vault: Vault
    certificates: Certificates
    templates: Templates
    problems: Problems

    def read(self, given: Given) -> Endpoint:
        spec = given.spec
        mode = spec.mode or "every"
        answers = self._answers(given)
        return Endpoint(
            name=given.name,
            url=self._url(given),
            keys=self._keys(given),
            mode=mode,
            batch=BatchLimits(spec.batch.max_events, spec.batch.max_wait) if spec.batch else None,
            max_age_seconds=spec.max_age or _MAX_AGE_SECONDS[mode],
            fields=spec.fields,
            min_interval=spec.min_interval,
            format=spec.format or "standard",
            template=self._template(given),
            content_type=self._content_type(given),
            timeout_seconds=spec.timeout or 10.0,
            max_concurrency=spec.max_concurrency or 8,
            rate_limit=RateLimit(*spec.rate_limit) if spec.rate_limit else None,
            retry=self._retry(given),
            success=answers.success,
            refused=answers.refused,
            headers=self._headers(given),
            auth=self._auth(given),
            tls=self._tls(given),
            allow_private=bool(spec.allow_private),
            paused=bool(spec.paused),
            silent_after=_silent_after(spec.silent_after),
            events=(spec.events or ("*",)) if isinstance(spec, OperatorSpec) else None,
        )

    def _url(self, given: Given) -> str:
        spec = given.spec
        if spec.url is None:
            self._missing(given, "url")
            return ""
        check = partial(
            check_url,
            spec.url,
            allow_http=bool(spec.allow_http),
            allow_private=bool(spec.allow_private),
        )
        return self._try(given, ("url",), check) or ""

    def _keys(self, given: Given) -> tuple[SigningKey, ...]:
        if given.spec.secret is None:
            self._missing(given, "secret")
        keys = [
            self._try(given, ("secret", index), partial(self.vault.parse_key, reference))
            for index, reference in enumerate(given.spec.secret or ())
        ]
        return tuple(key for key in keys if key is not None)

    def _retry(self, given: Given) -> RetrySchedule:
        retry = given.spec.retry
        if retry is None:
            return RetrySchedule()
        if retry.initial > retry.max:
            self._tell(given, ("retry",), "initial is longer than max")
        return RetrySchedule(retry.initial, retry.max, retry.max_attempts)

    def _template(self, given: Given) -> BodyTemplate | None:
        if setting := misplaced(given.spec):
            self._tell(given, (setting,), "it goes with format: template alone")
            return None
        try:
            return self.templates.compile(given.spec)
        except TemplateMistakes as wrong:
            for mistake in wrong.mistakes:
                self._tell(given, ("template",), mistake)
        except ValueError as wrong:
            at = "template" if given.spec.template is not None else "format"
            self._tell(given, (at,), str(wrong))
        return None

    def _content_type(self, given: Given) -> str | None:
        text = given.spec.content_type
        if text is None:
            return None
        return self._try(given, ("content_type",), partial(check_content_type, text))

    def _answers(self, given: Given) -> AnswerRules:
        spec = given.spec
        at = ("refused",) if spec.refused is not None else ("success",)
        return (
            self._try(given, at, partial(answer_rules, spec.success, spec.refused)) or AnswerRules()
        )

    def _headers(self, given: Given) -> tuple[tuple[str, str], ...]:
        pairs = []
        taken = {"authorization"} if given.spec.auth else set()
        for name, reference in (given.spec.headers or {}).items():
            path = ("headers", name)
            self._try(given, path, partial(check_header_name, name, taken=taken), at_key=True)
            value = self._resolve(given, path, reference, check_header_value)
            pairs.append((name, value or ""))
            taken.add(name.lower())
        return tuple(pairs)

    def _auth(self, given: Given) -> Auth | None:
        auth = given.spec.auth
        if auth is None:
            return None
        if sum(one is not None for one in (auth.basic, auth.bearer, auth.oauth2)) != 1:
            self._tell(given, ("auth",), "expected one of basic, bearer and oauth2")
        elif auth.bearer is not None:
            token = self._resolve(given, ("auth", "bearer"), auth.bearer, check_token)
            return BearerAuth(token or "")
        elif auth.basic is not None:
            return self._basic(given, auth.basic)
        elif auth.oauth2 is not None:
            return self._oauth2(given, auth.oauth2)
        return None

    def _oauth2(self, given: Given, oauth2: OAuth2Spec) -> OAuth2:
        path = ("auth", "oauth2")
        check = partial(
            check_url,
            oauth2.token_url,
            allow_http=bool(given.spec.allow_http),
            allow_private=bool(given.spec.allow_private),
        )
        url = self._try(given, (*path, "token_url"), lambda: without_device(check()))
        client = self._resolve(given, (*path, "client_id"), oauth2.client_id, check_password)
        secret = self._resolve(
            given, (*path, "client_secret"), oauth2.client_secret, check_password
        )
        return OAuth2(
            url or "",
            client or "",
            secret or "",
            oauth2.scope or "",
            oauth2.audience or "",
            oauth2.method or "basic",
        )

    def _basic(self, given: Given, basic: BasicSpec) -> BasicAuth:
        path = ("auth", "basic")
        username = self._resolve(given, (*path, "username"), basic.username, check_username)
        password = self._resolve(given, (*path, "password"), basic.password, check_password)
        return BasicAuth(username or "", password or "")

    def _tls(self, given: Given) -> TlsFiles | None:
        tls = given.spec.tls
        if tls is None or not (tls.ca_file or tls.cert_file or tls.key_file):
            return None
        check = partial(
            self.certificates.check, ca=tls.ca_file, cert=tls.cert_file, key=tls.key_file
        )
        return self._try(given, ("tls",), check)

    def _missing(self, given: Given, setting: str) -> None:
        if setting not in given.wrong:
            text = f"{given.owner(setting)}: {setting} is missing"
            self.problems.add(text, line=given.title.line, column=given.title.column)

    def _resolve(
        self, given: Given, path: Path, reference: str, check: Callable[[str], T]
    ) -> T | None:
        return self._try(given, path, lambda: check(self.vault.resolve(reference)))

    def _try(
        self, given: Given, path: Path, read: Callable[[], T], *, at_key: bool = False
    ) -> T | None:
        """The result of `read`, or None if it raises ValueError, which becomes a problem at `path`."""
        try:
            return read()
        except ValueError as wrong:
            self._tell(given, path, str(wrong), at_key=at_key)
            return None

    def _tell(self, given: Given, path: Path, text: str, *, at_key: bool = False) -> None:
        node = given.key(*path) if at_key else given.node(*path)
        text = f"{given.owner(path[0])}: {dotted(path)}: {text}"
        self.problems.add(text, line=node.line, column=node.column)


def unknown_group(name: str, known: list[str]) -> str:
    """The problem of a name among the groups that is no group."""
    if device := parse_mac(name):
        return f"{shown(name)} is a device, and stands in devices: [{device}]"
    defined = ", ".join(known[:10]) or "none"
    hint = nearest(name, known) or f"; defined: {defined}{', …' if len(known) > 10 else ''}"
    return f"group {shown(name)} is not defined{hint}"


def _silent_after(given: SilentAfter | Literal["off"] | None) -> SilentAfter | None:
    if given is None:
        return AfterIntervals(_USUAL_INTERVALS)
    return None if given == "off" else given
