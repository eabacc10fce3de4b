"""What the page's buttons do, by the same work as the API; afterwards the browser is sent where it shows."""

from collections.abc import Mapping

from forwarder.web.page.views import View

ACTIONS: Mapping[str, View] = {}
