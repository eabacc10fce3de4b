"""
A body written with a template: `${…}` over the names of an event, compiled once, and no code in it.

    names.py      what a variable may be called, and where its value is found in an event
    json_body.py  a template that is JSON: what it writes is JSON, whatever the values are
    line_body.py  any other: a line for each of its lines, values escaped as InfluxDB, CSV or nobody wants them
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
