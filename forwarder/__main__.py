"""`python -m forwarder` and the command `forwarder`; signals and streams are attended to before anything slow."""

import errno
import os
import sys

from forwarder.cli.signals import attend_to_signals

_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


def main() -> None:
    """Run the command line as a process."""
    attend_to_signals(sys.argv[1:])
    try:
        from forwarder.cli.output import stand_in

        stand_in()
        from forwarder.cli.main import main as run_command_line

        run_command_line()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno not in _NO_DESCRIPTOR:
            raise
        _say_that_none_is_left(error)


def _say_that_none_is_left(error: OSError) -> None:
    """Say so by one write, because a traceback or a module would need a descriptor."""
    os.write(2, f"forwarder: no file descriptor is left: {error.strerror}\n".encode())
    sys.exit(1)


if __name__ == "__main__":
    main()
