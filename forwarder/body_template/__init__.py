"""
A body template has `${…}` over the names of an event. It is compiled once, and holds no code.

    names.py      the names of variables, and the places of their values in an event
    json_body.py  a template that is JSON: it writes JSON, whatever the values are
    line_body.py  any other: it writes lines, with values escaped for InfluxDB, for CSV, or not at all
    template.py   the template as an endpoint has it
"""

from forwarder.body_template.line_body import Escape
from forwarder.body_template.names import View, finder_of, notice_finder_of
from forwarder.body_template.template import (
    BodyTemplate,
    NothingToSay,
    TemplateMistakes,
    compile_template,
)

__all__ = [
    "BodyTemplate",
    "Escape",
    "NothingToSay",
    "TemplateMistakes",
    "View",
    "compile_template",
    "finder_of",
    "notice_finder_of",
]
