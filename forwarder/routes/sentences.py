"""pydantic's errors about a setting, in the operator's words."""

from collections.abc import Mapping as AbstractMapping

from pydantic_core import ErrorDetails

from forwarder.routes.document import Mapping, Node, Scalar, find, find_key
from forwarder.routes.problems import dotted, nearest, shown

_SECRETIVE = frozenset({"url", "secret", "auth", "headers"})
_EXPECTED: AbstractMapping[str, str] = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a smaller number",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "string_type": "expected a text",
    "string_too_short": "expected a text that is not empty",
    "tuple_type": "expected a list such as [a, b]",
    "list_type": "expected a list such as [a, b]",
    "dict_type": "expected a mapping of names to values",
    "model_type": "expected a mapping of settings",
    "model_attributes_type": "expected a mapping of settings",
    "greater_than_equal": "expected at least {ge}",
    "less_than_equal": "expected at most {le}",
    "too_short": "expected at least {min_length} in the list",
    "too_long": "expected at most {max_length} in the list",
}


def without_echoes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """The errors without those that repeat another: pydantic also calls a list with wrong items too short."""
    wrong = {error["loc"][:-1] for error in errors}
    return [error for error in errors if error["type"] != "too_short" or error["loc"] not in wrong]


def locate(error: ErrorDetails, settings: Mapping) -> Node:
    """The place of the error: the key when its name is wrong, else the value."""
    if error["type"] == "extra_forbidden":
        return find_key(settings, error["loc"])
    if error["type"] == "missing":
        return find_key(settings, error["loc"][:-1])
    return find(settings, error["loc"])


def describe(
    error: ErrorDetails, settings: Mapping, known: AbstractMapping[str, tuple[str, ...]]
) -> str:
    """One sentence without its place. `known` holds the names that each mapping of settings takes, "" for the outer."""
    steps = [step for step in error["loc"] if isinstance(step, str)]
    if error["type"] == "extra_forbidden":
        return _unknown(dotted(steps[:-1]), steps[-1], known)
    if error["type"] == "missing":
        return f"{dotted(steps)} is missing"
    return f"{dotted(steps)}{_found(error, settings)}: {_expected(error)}"


def _unknown(parent: str, name: str, known: AbstractMapping[str, tuple[str, ...]]) -> str:
    names = known.get(parent, ())
    hint = (
        _at_home(parent, name, known) or nearest(name, names) or f"; known here: {', '.join(names)}"
    )
    return f"unknown setting {shown(name)}{f' in {parent}' if parent else ''}{hint}"


def _at_home(parent: str, name: str, known: AbstractMapping[str, tuple[str, ...]]) -> str:
    """A clause that says where a name belongs that is unknown here."""
    homes = [place for place, names in known.items() if name in names and place != parent]
    if not homes:
        return ""
    written = f"{homes[0]}: {{{name}: …}}" if homes[0] else "the endpoint itself"
    return f"; it stands in {written}"


def _found(error: ErrorDetails, settings: Mapping) -> str:
    node = find(settings, error["loc"])
    if error["loc"][0] in _SECRETIVE or not isinstance(node, Scalar):
        return ""
    return f" {shown(node.text)}" if node.text else " is empty"


def _expected(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return str(context["error"])
    if error["type"] == "literal_error":
        return _expected_word(str(error["input"]), str(context["expected"]))
    template = _EXPECTED.get(error["type"])
    return template.format(**context) if template else error["msg"]


def _expected_word(word: str, expected: str) -> str:
    choices = expected.replace("'", "")
    return f"expected {choices}{nearest(word, choices.replace(' or ', ', ').split(', '))}"
