"""An endpoint's template is read from its place, and compiled."""

import re
from dataclasses import dataclass

from forwarder.body_template import (
    BodyTemplate,
    TemplateMistakes,
    compile_template,
    finder_of,
    notice_finder_of,
)
from forwarder.files import Unreadable, printable
from forwarder.routes.files import Files
from forwarder.routes.spec import EndpointSpec, OperatorSpec

_CONTENT_TYPE = re.compile(
    r"[\w!#$&^.+-]+/[\w!#$&^.+-]+( *; *[\w-]+=([\w.+/:-]+|\"[\x20\x21\x23-\x7e]*\"))*", re.ASCII
)
_ONLY = ("template", "escape", "content_type")


@dataclass(frozen=True, slots=True)
class Templates:
    """Compiles the templates of endpoints."""

    files: Files

    def compile(self, spec: EndpointSpec) -> BodyTemplate | None:
        """
        The template of an endpoint; None for another format.

        Raises ValueError with every mistake, a line each. No mistake repeats the text of a file.
        """
        if spec.format != "template":
            return None
        if spec.template is None:
            raise ValueError("format: template needs template: file:NAME, or the text itself")
        if not spec.template.startswith("file:"):
            return _compiled(spec, spec.template)
        path = self.files.locate(spec.template.removeprefix("file:").strip())
        try:
            text = self.files.template(path)
        except Unreadable as unreadable:
            raise ValueError(str(unreadable)) from None
        is_json = True if path.suffix == ".json" else None
        try:
            return _compiled(spec, text, is_json=is_json)
        except TemplateMistakes as mistakes:
            raise TemplateMistakes(
                [f"{printable(path)}: {one}" for one in mistakes.mistakes]
            ) from None


def _compiled(spec: EndpointSpec, text: str, *, is_json: bool | None = None) -> BodyTemplate:
    return compile_template(
        text,
        escape=spec.escape,
        is_json=is_json,
        is_batched=spec.batch is not None,
        name_to_finder=notice_finder_of if isinstance(spec, OperatorSpec) else finder_of,
    )


def misplaced(spec: EndpointSpec) -> str:
    """The first setting that makes sense only with a template; empty if there is none."""
    if spec.format == "template":
        return ""
    return next((name for name in _ONLY if getattr(spec, name) is not None), "")


def check_content_type(text: str) -> str:
    """Raises ValueError for a text that is no media type (RFC 9110 §8.3.1)."""
    if _CONTENT_TYPE.fullmatch(text) is None:
        raise ValueError(
            "expected a media type such as application/json or text/csv; charset=utf-8"
        )
    return text
