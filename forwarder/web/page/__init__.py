"""
The page answers "did they get it?" in a browser, by the same functions as the commands and the API.

    app.py        routes, admission, headers               frame.py      the values of requests and views
    line.py, endpoints.py, devices.py, deliveries.py, quarantine.py, shares.py    the views and actions of each
    search.py     the one search box                       sentences.py  the page's words
    charts.py     pictures of numbers, as SVG paths        assets.py     style, scripts and icon, with their hashes
    live.py       the stream of changes                    shared.py     answers that open pages share

Every view is whole without JavaScript. With it, a stream says that something has changed, and the view asks for itself
anew. Templates escape all values. Views and actions work in a thread, so that the line never waits for a reader.
"""

from forwarder.web.page.app import STREAM, Page, build_page
from forwarder.web.page.live import Pulse

__all__ = ["STREAM", "Page", "Pulse", "build_page"]
