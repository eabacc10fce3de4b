"""
Payloads that differ from an earlier one in their values alone, read without the normaliser.

    first payload of a layout  ─▶ learning ─▶ Layout, or none
    every later one ─▶ layouts ─▶ its values, put into the Layout ─▶ SerialisedReading
    any doubt       ─▶ None: the normaliser reads it

The normaliser is the specification. This package only reads faster what the normaliser would read to the same bytes.
"""

from forwarder.normalise.fast_path.layouts import FastPath

__all__ = ["FastPath"]
