"""
Every error that may reach a person, as one tree.

    ForwarderError
    ├── ConfigurationError          exit 2: settings, routes or template cannot be used
    │   ├── SettingsError           environment, .env, secret files
    │   ├── RoutesError             routes.yaml; carries every problem found, with its place
    │   └── TemplateError           the payload template
    ├── OutboxError                 exit 1
    │   ├── OutboxLocked            another forwarder owns this data directory
    │   ├── OutboxTaken             another replica has taken over what this one held
    │   ├── OutboxUnavailable       the outbox takes no writes right now (disk full, I/O error); worth trying again
    │   ├── OutboxDamaged           the file is not a sound outbox
    │   └── OutboxIncomplete        the file is sound, and lacks something that had been acknowledged
    ├── LineGivenUp                 exit 1: another replica is to subscribe in place of this one
    └── OperationError              exit 1: a command could not do what was asked (unknown id, service not running)

The text of each is one sentence that says what is wrong, where, and what to do. It never holds a secret.
"""


class ForwarderError(Exception):
    """The root of the tree; a command that ends by an error returns its `exit_code`."""

    exit_code = 1


class ConfigurationError(ForwarderError):
    """The operator's settings, routes or template cannot be used."""

    exit_code = 2


class SettingsError(ConfigurationError):
    """A setting is missing or malformed."""


class RoutesError(ConfigurationError):
    """routes.yaml cannot be used; `problems` holds one finished sentence each, in file order."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class TemplateError(ConfigurationError):
    """The payload template cannot be turned round."""


class OutboxError(ForwarderError):
    """The outbox cannot be used."""


class OutboxLocked(OutboxError):  # noqa: N818 - the name states the fact, as the words of the design do
    """Another forwarder owns this data directory."""


class OutboxTaken(OutboxError):  # noqa: N818
    """Another replica has taken over; nothing was changed, and this replica never changes anything again."""


class OutboxUnavailable(OutboxError):  # noqa: N818
    """The outbox takes no writes right now; nothing was changed, and another try is right."""


class OutboxDamaged(OutboxError):  # noqa: N818
    """The file is not a sound outbox; `fault` says why, as a clause."""

    def __init__(self, sentence: str, *, fault: str) -> None:
        super().__init__(sentence)
        self.fault = fault


class OutboxIncomplete(OutboxError):  # noqa: N818
    """The file is sound, and something that had been acknowledged is missing from it."""


class LineGivenUp(ForwarderError):  # noqa: N818
    """Another replica is to subscribe in place of this one, which has to start anew."""


class OperationError(ForwarderError):
    """A command could not do what was asked."""
