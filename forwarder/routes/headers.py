"""Static headers and credentials of an endpoint: the ones that may be sent, and the ones that are ours alone."""

import re
from collections.abc import Set

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # a token of RFC 9110 §5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_OURS = frozenset(
    {"accept-encoding", "content-encoding", "content-length", "content-type", "host", "user-agent"}
)
_OF_THE_CONNECTION = frozenset(
    {
        "connection",
        "expect",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)  # RFC 9110 §7.6.1


def check_header_name(name: str, *, taken: Set[str]) -> None:
    """Raises ValueError for a name that is malformed, set by us, of the connection, or taken (in lower case)."""
    if _NAME.fullmatch(name) is None:
        raise ValueError("expected a header name of letters, digits and -")
    lower = name.lower()
    if lower in _OURS or lower.startswith("webhook-"):
        raise ValueError("this header is set for each request and cannot be given here")
    if lower in _OF_THE_CONNECTION or lower.startswith("proxy-"):
        raise ValueError("this header belongs to the connection and cannot be given here")
    if lower in taken:
        raise ValueError("this header is given twice, or by auth as well; keep one of them")


def check_header_value(value: str) -> str:
    """The value. Raises ValueError when it could end the header or is not ASCII; the error does not repeat it."""
    if _VALUE.fullmatch(value) is None:
        raise ValueError(
            "its value holds a line break, a control character or a letter outside ASCII"
        )
    return value


def check_username(username: str) -> str:
    if ":" in username:
        raise ValueError("a username cannot hold a colon (RFC 7617)")
    return check_password(username)


def check_password(password: str) -> str:
    if not password.isprintable():
        raise ValueError("it holds a line break or a control character")
    return password


def check_token(token: str) -> str:
    if _TOKEN.fullmatch(token) is None:
        raise ValueError("expected a token without spaces, in ASCII")
    return token
