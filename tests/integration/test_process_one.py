"""What the first process of a container has to do, tried where that can be seen: in a process of its own."""

import subprocess
import sys

WAITS_FOR_SIGTERM = """
import os, signal
from forwarder.cli.process_one import end_on_sigterm
end_on_sigterm()
try:
    os.kill(os.getpid(), signal.SIGTERM)
except KeyboardInterrupt:
    print("ended in good order")
"""

LOSES_A_CHILD = """
import os
from forwarder.cli.process_one import leave_orphans_to_the_kernel
leave_orphans_to_the_kernel()
child = os.fork()
if child == 0:
    os._exit(0)
try:
    os.waitpid(child, 0)
except ChildProcessError:
    print("nothing to wait for")
"""


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout.strip()


def test_sigterm_ends_a_command_as_ctrl_c_does() -> None:
    """A command without a handler of its own ends at `docker stop` as it does at Ctrl-C."""
    assert python(WAITS_FOR_SIGTERM) == "ended in good order"


def test_children_leave_no_zombie() -> None:
    """A child that ends is gone, and nobody has to wait for it."""
    assert python(LOSES_A_CHILD) == "nothing to wait for"
