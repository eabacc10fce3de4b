"""The TLS context of a broker: the authorities that we trust, and our own certificate."""

import ssl
from pathlib import Path

from forwarder.files import Unreadable, printable, read_pem
from forwarder.settings import Broker
from forwarder.subscriber.problem import Kind, Problem, SessionFailed

_UNFIT_FILES = {
    "EE_KEY_TOO_SMALL": "its key is too short; have a pair issued whose RSA key has at least 2048 bits",
    "CA_KEY_TOO_SMALL": "it was issued with a key that is too short; have another pair issued",
    "CA_MD_TOO_WEAK": "it is signed with a digest that is too weak, such as SHA-1; have another pair issued",
}
"""The flaw of a file that is PEM, by the name of OpenSSL's error."""


def client_context(broker: Broker) -> ssl.SSLContext:
    """
    The context of one connection, from the files as they are now, so that a renewed certificate needs no restart.

    Raises SessionFailed when a file cannot be used.
    """
    context = _trusting(broker.ca_file)
    context.check_hostname = broker.check_hostname
    if broker.cert_file is not None and broker.key_file is not None:
        _identify(context, broker.cert_file, broker.key_file)
    return context


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None:
        return ssl.create_default_context()
    text = _read("FORWARDER_MQTT_CA_FILE", ca_file, "certificate")
    try:
        context = ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError) as unusable:
        sentence = (
            f"FORWARDER_MQTT_CA_FILE {printable(ca_file)} holds no certificate: it must be PEM, beginning with"
            " -----BEGIN CERTIFICATE-----"
        )
        raise SessionFailed(Problem("certificate", sentence)) from unusable
    # A certificate in the file is trusted as it stands: it need not be of a CA, nor meet RFC 5280 in full.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _read(setting: str, file: Path, kind: Kind) -> str:
    try:
        return read_pem(file)
    except Unreadable as unreadable:
        raise SessionFailed(Problem(kind, f"{setting}: {unreadable}")) from None


def _identify(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    def refuse() -> str:
        raise SessionFailed(
            Problem(
                "client_certificate",
                f"FORWARDER_MQTT_KEY_FILE {key_file} is encrypted: store the key without a passphrase",
            )
        )

    # OpenSSL opens both by their path, and would wait at a pipe. Our own reader refuses that first.
    _read("FORWARDER_MQTT_CERT_FILE", cert_file, "client_certificate")
    _read("FORWARDER_MQTT_KEY_FILE", key_file, "client_certificate")
    try:
        # OpenSSL without a password function would ask on the terminal and wait there.
        context.load_cert_chain(cert_file, key_file, password=refuse)
    except (OSError, ValueError) as unusable:
        raise SessionFailed(_pair_problem(cert_file, key_file, unusable)) from unusable


def _pair_problem(cert_file: Path, key_file: Path, error: Exception) -> Problem:
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return Problem(
            "client_certificate",
            f"FORWARDER_MQTT_KEY_FILE {key_file} is not the key of FORWARDER_MQTT_CERT_FILE {cert_file}: "
            "use the pair that was issued together",
        )
    why = _UNFIT_FILES.get(getattr(error, "reason", None) or "", "both must be PEM")
    return Problem(
        "client_certificate",
        f"FORWARDER_MQTT_CERT_FILE {cert_file} and FORWARDER_MQTT_KEY_FILE {key_file} cannot be used: {why}",
    )
