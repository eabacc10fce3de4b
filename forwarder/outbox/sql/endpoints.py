"""Endpoints inside one transaction: paused, failing, removed from the routes."""

from forwarder.endpoint_health import EndpointHealth
from forwarder.outbox.sql.connection import Connection

_RECORD_HEALTH = """
    UPDATE {} SET failures = ?, open_until = ?, failing_since = ?,
        last_success_at = ?, last_error = ?, last_error_at = ?,
        outage_since = ? WHERE {} = ?"""
# The statement itself spares an operator's pause, because a command may have set it since the service looked.
_PAUSE = """
    UPDATE {} SET paused_by = ?, gone_url = ? WHERE id = ? AND coalesce(paused_by, '') <> 'operator'"""
_RESUME = "UPDATE {} SET paused_by = NULL, gone_url = NULL WHERE id = ? AND paused_by IS NOT NULL"
_FORGET_FAILURES = (
    "UPDATE {} SET failures = 0, open_until = NULL, failing_since = NULL WHERE {} = ?"
)
_MARK_REMOVED = "UPDATE {} SET removed_at = ? WHERE id = ?"


class EndpointTable:
    """
    Endpoints by their rows' ids.

    `table` holds pauses and removals, which any process may change. `circuits` names the table of circuits, which homes
    change, and its column of endpoints' ids.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        table: str = "endpoint",
        circuits: tuple[str, str] = ("endpoint", "id"),
    ) -> None:
        self._connection = connection
        self._table = table
        self._circuits = circuits

    def record_health(self, endpoint: int, health: EndpointHealth) -> None:
        """Keep an endpoint's circuit; a pause is not touched."""
        circuit = (
            health.failures, health.open_until, health.failing_since, health.last_success_at,
            health.last_error, health.last_error_at, health.outage_since,
        )  # fmt: skip
        self._connection.execute(_RECORD_HEALTH.format(*self._circuits), (*circuit, endpoint))

    def record_gone(self, endpoint: int, url_digest: str | None) -> None:
        """Pause an endpoint because of its 410, or end that pause; an operator's pause stays."""
        self._pause(endpoint, "gone" if url_digest else None, url_digest)

    def pause(self, endpoint: int) -> bool:
        """Pause an endpoint as an operator; returns False when an operator has paused it already."""
        return self._pause(endpoint, "operator", None)

    def _pause(self, endpoint: int, by: str | None, url_digest: str | None) -> bool:
        row = (by, url_digest, endpoint)
        return self._connection.execute(_PAUSE.format(self._table), row).rowcount > 0

    def resume(self, endpoint: int) -> bool:
        """End any pause and forget earlier failures; returns False when there was no pause."""
        if not self._connection.execute(_RESUME.format(self._table), (endpoint,)).rowcount:
            return False
        self._connection.execute(_FORGET_FAILURES.format(*self._circuits), (endpoint,))
        return True

    def mark_removed(self, endpoint: int, since: float | None) -> None:
        """Note since when routes.yaml does not name the endpoint; None for one that it names."""
        self._connection.execute(_MARK_REMOVED.format(self._table), (since, endpoint))
