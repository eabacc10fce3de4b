"""
The long run: one forwarder process, a modest rate, faults all the time, and nothing in it may grow.

    form.py       how long, how often what, and what each quantity may grow by
    line.py       the stage, with endpoints that come and go
    play.py       the faults, edits and commands, side by side until the time is over
    look.py       the process, its files and its metrics, seen from outside every few seconds
    entries.py    what was seen, and how it is read again
    record.py     the files that it goes to
    slopes.py     the record against its bounds; pure
    plot.py       the record as a picture

Run `make endurance` (30 minutes, and docs/images/endurance.png) or `make test-endurance` (3 minutes, for CI).
"""
