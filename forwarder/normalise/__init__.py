"""
Any whatwatt payload to one kind of reading.

 bytes ─▶ decoding ─▶ rules ( a template turned round, or the known shapes ) ─▶ draft ─▶ Reading | Unreadable
   └────▶ forms ( what payloads that differ in their values alone have in common ) ────▶ SerialisedReading

`variables.csv` is the one table of what devices send; `values` and `times` say what a single value means.
"""

from forwarder.normalise.device import device_in_text
from forwarder.normalise.draft import Part
from forwarder.normalise.forms import Forms
from forwarder.normalise.loading import load_normaliser
from forwarder.normalise.normaliser import NamedBy, Normaliser, Trace, internal_error
from forwarder.normalise.template import Finding, Template, load_template

__all__ = [
    "Finding",
    "Forms",
    "NamedBy",
    "Normaliser",
    "Part",
    "Template",
    "Trace",
    "device_in_text",
    "internal_error",
    "load_normaliser",
    "load_template",
]
