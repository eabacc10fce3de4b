"""Pausing an endpoint and letting it go on; the running service notices either within a second."""

from forwarder.operator.file import OutboxFile


def pause(file: OutboxFile, name: str) -> bool:
    """Send nothing more to the endpoint until `resume`, across restarts; False when it was paused so already."""
    with file.transaction() as store:
        changed = store.connection.execute(
            "UPDATE endpoint SET paused_by = 'operator', gone_url = NULL"
            " WHERE id = ? AND paused_by IS NOT 'operator'",
            (store.endpoint_id(name),),
        ).rowcount
    return changed > 0


def resume(file: OutboxFile, name: str) -> bool:
    """End a pause, also one after a 410, and forget earlier failures; False when there was none."""
    with file.transaction() as store:
        changed = store.connection.execute(
            "UPDATE endpoint SET paused_by = NULL, gone_url = NULL, failures = 0, open_until = NULL,"
            " failing_since = NULL WHERE id = ? AND paused_by IS NOT NULL",
            (store.endpoint_id(name),),
        ).rowcount
    return changed > 0
