"""URLs that a receiver's developer names on the command line: endpoints of no routes.yaml."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from forwarder.errors import ConfigurationError
from forwarder.routes.model import Endpoint, EndpointName, SigningKey
from forwarder.routes.urls import check_url


def endpoint_at(url: str, *, option: str, keys: Sequence[SigningKey] = ()) -> Endpoint:
    """
    An endpoint at this URL, named by its origin, which tells no token. `option` is the one that gave the URL.

    Loopback, private addresses and plain http are fine, because a person who types a URL means it. Addresses to which
    nothing is ever sent stay forbidden. Raises ConfigurationError.
    """
    try:
        checked = check_url(url, allow_http=True, allow_private=True)
    except ValueError as wrong:
        raise ConfigurationError(f"{option}: {wrong}") from None
    parts = urlsplit(checked)
    name = EndpointName(f"{parts.scheme}://{parts.netloc}")
    return Endpoint(name, url=checked, keys=tuple(keys), allow_private=True)
