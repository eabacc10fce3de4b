"""The exception by which the stages of the normaliser send a payload to the quarantine."""

from forwarder.reading import QuarantineReason


class Unusable(Exception):  # noqa: N818 - it never leaves this package: `normalise` turns it into Unreadable
    """Nothing can be read from this payload; `detail` is one sentence for the operator."""

    def __init__(self, reason: QuarantineReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: QuarantineReason = reason
        self.detail = detail
