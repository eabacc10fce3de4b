"""
The normaliser turns any whatwatt payload into one kind of reading.

 bytes ─▶ decoding ─▶ rules ( a template turned round, or the known shapes ) ─▶ builder ─▶ Reading | Unreadable
   └────▶ fast_path ( payloads that differ from an earlier one in their values alone ) ──▶ SerialisedReading

`forwarder/variables.csv` is the one table of what devices send; `values` and `times` say what a single value means.
"""

from forwarder.normalise.builder import Part
from forwarder.normalise.device import device_in_text
from forwarder.normalise.fast_path import FastPath
from forwarder.normalise.loading import load_normaliser
from forwarder.normalise.normaliser import Normaliser, Trace, internal_error
from forwarder.normalise.template import Template, load_template

__all__ = [
    "FastPath",
    "Normaliser",
    "Part",
    "Template",
    "Trace",
    "device_in_text",
    "internal_error",
    "load_normaliser",
    "load_template",
]
