"""An endpoint's URL is checked for its form, and for its destination as far as that shows without DNS."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit

import idna

from forwarder.addresses import classify_address, is_loopback_host
from forwarder.reading import DOT_SEGMENTS

_UNSAFE = re.compile(r"[\x00-\x20\x7f\\\"<>^`|]")
_PLACEHOLDER = "{device}"


def check_url(text: str, *, allow_http: bool, allow_private: bool) -> str:
    """
    The URL with its host in ASCII (RFC 5890), ready to be dialled.

    Raises ValueError with a clause that never repeats user part, path or query, because they may be secret.
    """
    parts = _split(text)
    _check_placeholder(parts)
    _check_segments(parts.path)
    host = _ascii_host(parts)
    is_loopback = is_loopback_host(host)
    _check_address(host, is_loopback=is_loopback, allow_private=allow_private)
    if parts.scheme == "http" and not (allow_http or is_loopback):
        raise ValueError("http sends readings in clear; use https, or set allow_http: true")
    netloc = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        netloc = f"{netloc}:{parts.port}"
    return parts._replace(netloc=netloc).geturl()


def without_device(url: str) -> str:
    """The URL. Raises ValueError when it differs by device."""
    if _PLACEHOLDER in url:
        raise ValueError("{device} cannot stand in it")
    return url


def _split(text: str) -> SplitResult:
    if _UNSAFE.search(text):
        raise ValueError(
            'it holds a space, a control character or one of \\ " < > ^ ` |; write those as %20 and so on'
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("expected https://host/path; its host or port is malformed") from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("expected https://host/path")
    if "@" in parts.netloc:
        raise ValueError(
            "it holds a user or password; move them to auth: {basic: {username: …, password: env:NAME}}"
        )
    if parts.fragment or "#" in text:
        raise ValueError("a fragment (#…) is never sent; remove it")
    if port == 0:
        raise ValueError("expected a port from 1 to 65535")
    return parts


def _ascii_host(parts: SplitResult) -> str:
    host = (parts.hostname or "").removesuffix(".")
    if not host:
        raise ValueError("expected https://host/path; the host is missing")
    if "%" in host:
        raise ValueError("expected a host without a zone or percent-encoding")
    if ":" in host:
        return host
    if host.isascii():
        return _checked_name(host)
    try:
        return idna.encode(host).decode("ascii")
    except idna.IDNAError:
        raise ValueError("expected a host name that IDNA 2008 allows (RFC 5891)") from None


def _checked_name(host: str) -> str:
    if len(host) > 253 or not all(
        re.fullmatch(r"[a-z0-9_-]{1,63}", label) for label in host.split(".")
    ):
        raise ValueError("expected a host name of letters, digits, - and .")
    # Resolvers read 127.1, 0x7f.1 and 2130706433 as 127.0.0.1, which nobody means.
    if re.fullmatch(r"\d+|0x[0-9a-f]*", host.rsplit(".", 1)[-1]) and _literal(host) is None:
        raise ValueError("expected a host name, or an IPv4 address of four decimal numbers")
    return host


def _check_placeholder(parts: SplitResult) -> None:
    if "{" in parts.netloc + parts.query or "}" in parts.netloc + parts.query:
        raise ValueError("{device} can stand only in the path")
    rest = parts.path.replace(_PLACEHOLDER, "")
    if "{" in rest or "}" in rest:
        raise ValueError("only {device} can stand in braces in the path")


def _check_segments(path: str) -> None:
    """Refuse dot segments, encoded or not, because only some servers remove them (RFC 3986 §5.2.4, §6.2.2.2)."""
    segments = path.lower().replace("%2e", ".").split("/")
    if not DOT_SEGMENTS.isdisjoint(segments):
        raise ValueError(
            "its path holds a segment . or .. (also as %2e); write the path that it leads to"
        )


def _check_address(host: str, *, is_loopback: bool, allow_private: bool) -> None:
    address = _literal(host)
    kind = classify_address(address) if address else "private" if is_loopback else "public"
    if kind == "forbidden":
        raise ValueError(
            f"{host} is a link-local, cloud metadata, multicast, unspecified or reserved address;"
            " nothing is ever sent there"
        )
    if kind == "private" and not allow_private:
        raise ValueError(
            f"{host} is a private or loopback address; set allow_private: true if it is meant"
        )


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
