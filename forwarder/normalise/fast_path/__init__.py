"""
The fast path reads payloads that differ from an earlier one in their values alone, five times as fast.

    first payload of a layout ─▶ learning ( what the normaliser makes of it ) ─▶ Layout
    every later payload ──────▶ layouts ( its values, put into the Layout ) ───▶ SerialisedReading
    any doubt ────────────────▶ None: the normaliser reads it

The normaliser is the specification: the fast path writes the same bytes, or leaves the payload to the normaliser. Tests
compare the two for any payload. The service's `USES_FAST_PATH` turns the fast path off; all is then read, only slower.
"""

from forwarder.normalise.fast_path.layouts import FastPath

__all__ = ["FastPath"]
