"""Makes the normaliser that the settings ask for."""

from pathlib import Path
from zoneinfo import ZoneInfo

from forwarder.files import read_given
from forwarder.normalise.normaliser import Normaliser
from forwarder.normalise.template import load_template
from forwarder.settings import Settings


def load_normaliser(
    settings: Settings,
    *,
    template_file: Path | None = None,
    trusts_payload_device: bool | None = None,
) -> Normaliser:
    """
    The normaliser of these settings. A template that is given beside them takes the place of theirs.

    Raises TemplateError when the template cannot be read or turned round.
    """
    template = None
    if template_file:
        template = load_template(template_file, read=read_given)
    elif settings.template_file:
        template = load_template(settings.template_file)
    if trusts_payload_device is None:
        trusts_payload_device = settings.trusts_payload_device
    return Normaliser(
        timezone=ZoneInfo(settings.timezone),
        max_message_bytes=settings.max_message_bytes,
        trusts_payload_device=trusts_payload_device,
        template=template,
    )
