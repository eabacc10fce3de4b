"""The running service answers over HTTP: health, readiness, metrics, API and page."""

from forwarder.web.app import Vitals, build_app
from forwarder.web.gate import Limits
from forwarder.web.server import WebServer

__all__ = ["Limits", "Vitals", "WebServer", "build_app"]
