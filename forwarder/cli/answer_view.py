"""The sentences of `forwarder send-test` on the answers it got, and what to do about each kind."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from forwarder.delivery import AttemptResult, Failed
from forwarder.operator import Answered
from forwarder.operator.objects import outcome_object
from forwarder.terminal import plain
from forwarder.units import count_of

SHOWN_CHARACTERS = 400

ADVICE = {
    "dns": "check the host in its url, and the name server of this machine",
    "connect_refused": "nothing listens there: check the port in its url, and that the receiver runs",
    "reset": "look into the receiver's log, and that of any proxy before it",
    "unreachable": "check the network and the firewalls between here and there",
    "tls": "check the receiver's certificate; for a private CA set the endpoint's tls.ca_file",
    "timeout": "a receiver answers first and works after; else raise the endpoint's timeout",
    "protocol": "check that its url names an HTTP server, and whether it is http or https",
    "blocked_address": "if the receiver is meant to be in a private network, set allow_private: true;"
    " the networks of FORWARDER_DENY_NETWORKS and FORWARDER_ALLOW_NETWORKS are the operator's",
    "proxy": "check FORWARDER_PROXY_URL, and whether the proxy may reach the receiver",
    "token": "check the token_url, client_id and client_secret of its auth, and the token server's log",
    "client_certificate": "check the endpoint's tls.cert_file and tls.key_file",
    "http_401": "compare the endpoint's secret and auth with what the receiver expects",
    "http_403": "compare the endpoint's secret and auth with what the receiver expects",
    "http_404": "check the path in its url",
    "http_405": "check the path in its url: what is there takes no POST",
    "http_410": "the receiver wants nothing more; readings answered so pause the endpoint",
    "http_429": "the receiver wants less at once: set the endpoint's rate_limit",
    "http_501": "check its url: what is there takes no POST",
    "http_2xx": "its success names other statuses only",
    "http_3xx": "redirects are not followed: put the address it redirects to into its url,"
    " or, if it has taken the event by then, the status into its success",
    "http_4xx": "look into the receiver's log; 400, 413, 414, 415 and 422 would make a reading a dead letter",
    "http_5xx": "look into the receiver's log; readings answered so are tried again",
}
"""The advice for each way in which an attempt can fail."""

ADVICE_AT_A_URL = {
    "tls": "check the receiver's certificate",
    "timeout": "a receiver answers first and works after: within 10 seconds",
    "blocked_address": "nothing is ever sent to such an address",
    "http_401": "compare the --secret with what the receiver expects",
    "http_403": "compare the --secret with what the receiver expects",
    "http_429": "the receiver wants less at once",
}
"""The advice for a plain URL, which has no endpoint whose settings could be changed."""


def as_object(name: str, outcome: Answered) -> str:
    """One request as a JSON object."""
    return json.dumps(outcome_object(name, outcome))


def as_sentences(name: str, outcome: Answered, *, known: Mapping[str, str]) -> str:
    """One request for people: the outcome, the start of the answer, and what to do."""
    result = outcome.result
    lines = [f"{name} {_told(result)} after {round(outcome.seconds * 1000)} ms"]
    if result.answer:
        lines.append(f"  its answer: {_start(result.answer)}")
    if not outcome.is_taken:
        lines.append(f"  {advice(outcome.word, known=known)}")
    return "\n".join(lines)


def summary_object(name: str, outcomes: Sequence[Answered]) -> str:
    """Several requests as one JSON object. `outcomes` counts each word, such as `http_204` or `timeout`."""
    counts = Counter(one.word for one in outcomes)
    accepted = sum(one.is_taken for one in outcomes)
    return json.dumps(
        {
            "endpoint": name,
            "ok": accepted == len(outcomes),
            "count": len(outcomes),
            "accepted": accepted,
            "outcomes": dict(counts.most_common()),
            "duration_ms": round(sum(one.seconds for one in outcomes) * 1000),
        }
    )


def summary(name: str, outcomes: Sequence[Answered], *, known: Mapping[str, str]) -> str:
    """Several requests for people: how many were taken, and what to do about each kind of failure."""
    accepted = sum(one.is_taken for one in outcomes)
    each = sum(one.seconds for one in outcomes) / len(outcomes) * 1000
    lines = [f"{name} took {accepted:,} of {len(outcomes):,}, after {each:.1f} ms each"]
    failures = {one.word: one.result for one in reversed(outcomes) if not one.is_taken}
    for word, count in Counter(one.word for one in outcomes if not one.is_taken).most_common():
        lines.append(
            f"  {count_of(count, 'time')} it {_told(failures[word])}: {advice(word, known=known)}"
        )
    return "\n".join(lines)


def advice(word: str, *, known: Mapping[str, str] = ADVICE) -> str:
    family = word[: len("http_4")] + "xx"
    return known.get(word) or known.get(family) or "look into the receiver's log"


def _told(result: AttemptResult) -> str:
    if result.status is not None:
        return f"answered {result.status}"
    assert isinstance(result, Failed)  # noqa: S101 - the others always carry a status
    return f"gave no answer ({result.error}: {plain(result.detail)})"


def _start(answer: bytes) -> str:
    text = answer.decode(errors="replace")[:SHOWN_CHARACTERS]
    return plain(" ".join(text.split()))
