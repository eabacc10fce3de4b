"""
A device's template is turned round, so that its payloads can be read with it.

    template.py        the text of a template, checked: each variable with its place, and what is doubtful about it
    json_template.py   a template that is JSON, as a tree of rules: key order and white space do not matter
    pattern.py         any other text, as literals with holes between them; also a JSON text made around a variable
"""

from forwarder.normalise.template.template import TEMPLATE_LIMIT, Finding, Template, load_template

__all__ = ["TEMPLATE_LIMIT", "Finding", "Template", "load_template"]
