"""
The page: "did they get it?" answered in a browser, over the same rooms as the commands and the API.

    app.py        routes, who is let in, headers           views.py      what each view shows
    actions.py    what its buttons do                      live.py       the stream that says what has changed
    search.py     the one search box                       sentences.py  what is said in words
    charts.py     pictures of numbers, as SVG paths        assets.py     style, scripts and icon, with their hashes

Every view is whole without JavaScript. With it, a stream says that something has changed, and the view asks for itself
anew. Templates escape all that they are given. What takes long runs in a thread, so the line never waits for a reader.
"""

from forwarder.web.page.app import STREAM, Page, build_page
from forwarder.web.page.live import Pulse

__all__ = ["STREAM", "Page", "Pulse", "build_page"]
