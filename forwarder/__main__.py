"""`python -m forwarder`, and the command `forwarder`: signals and standard streams come before all that takes time."""

import sys

from forwarder.cli.signals import attend_to_signals


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


if __name__ == "__main__":
    main()
