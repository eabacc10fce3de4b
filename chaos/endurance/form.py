"""How long a run lasts, how often what happens in it, and what each quantity may grow by."""

from dataclasses import dataclass

from chaos.endurance.slopes import Bound

MIB = float(1 << 20)
MOST_MEMORY = 150 * MIB
MOST_DESCRIPTORS = 90
"""Five endpoints with eight connections, four with two, and what broker, outbox and web server have open."""
MOST_THREADS = 20
MOST_LOG = 24 * MIB
"""SQLite carries the log over at 4,000 pages, 16 MB; a commit of many messages may come on top."""


@dataclass(frozen=True)
class Form:
    """All times in seconds, but for `minutes`."""

    minutes: float
    keep_delivered: str
    sample_every: float
    edit_every: float
    receiver_every: float
    receiver_for: float
    """How long a receiver fails each time."""
    cut_every: float
    """Sessions shorter than half a minute make the forwarder wait longer and longer before the next."""
    operate_every: float
    """How often an operator looks after dead letters and quarantine."""
    bounds: tuple[Bound, ...]


LONG = Form(
    minutes=30,
    keep_delivered="2m",
    sample_every=5,
    edit_every=20,
    receiver_every=25,
    receiver_for=8,
    cut_every=60,
    operate_every=60,
    bounds=(
        Bound("rss_bytes", rise=2 * MIB, most=MOST_MEMORY),
        Bound("descriptors", rise=10, most=MOST_DESCRIPTORS),
        Bound("threads", rise=2, most=MOST_THREADS),
        Bound("log_bytes", rise=1 * MIB, most=MOST_LOG),
        Bound("file_bytes", rise=2 * MIB),
        Bound("pending", rise=100),
    ),
)
SHORT = Form(
    minutes=3,
    keep_delivered="30s",
    sample_every=1,
    edit_every=8,
    receiver_every=12,
    receiver_for=4,
    cut_every=60,
    operate_every=30,
    bounds=(
        # Two minutes are a fifth of ten: whatever is allowed here comes to a fifth of it.
        # Caches fill for five minutes, 4 to 7 MiB of it meanwhile, and then they stand still. A kilobyte a delivery
        # comes to 27 MiB more; a kilobyte a reading is for the long form to find.
        Bound("rss_bytes", rise=50 * MIB, most=120 * MIB),
        Bound("descriptors", rise=60, most=MOST_DESCRIPTORS),
        Bound("threads", rise=10, most=MOST_THREADS),
        Bound("log_bytes", rise=5 * MIB, most=MOST_LOG),
        Bound("file_bytes", rise=10 * MIB),
        # The other steps of .ci/run have the machine meanwhile: the line may be half a minute behind for a while.
        Bound("pending", rise=5000),
    ),
)
