"""pydantic's errors about a setting, in the operator's words and without the value, which may be secret."""

from pydantic_core import ErrorDetails

from forwarder.settings.environment import PREFIX
from forwarder.units import format_duration

_EXPECTED = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
}
DURATIONS = frozenset(
    {"mqtt_keepalive", "mqtt_session_expiry", "keep_delivered", "keep_dead", "drain_timeout"}
)


def sentence(error: ErrorDetails) -> str:
    """`FORWARDER_MQTT_QOS: expected at most 1`."""
    name = str(error["loc"][0]) if error["loc"] else ""
    return f"{PREFIX}{name.upper()}: {_expected(name, error)}"


def _expected(name: str, error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    for bound, words in (("ge", "at least"), ("le", "at most")):
        if bound in context:
            limit = context[bound]
            shown = format_duration(float(limit)) if name in DURATIONS else limit
            return f"expected {words} {shown}"
    if error["type"] == "literal_error":
        return f"expected {context['expected']}".replace("'", "")
    return _EXPECTED.get(error["type"]) or error["msg"].removeprefix("Value error, ")
