"""
The chaos suite: the whole line on this machine, faults put into it, and every reading accounted for.

    oracle ─▶ devices ─▶ mosquitto ─▶ link ─▶ forwarder ─▶ links ─▶ receivers ─▶ judge
      │                     ▲          ▲         ▲           ▲          ▲          ▲
      │                     └──────────┴── faults ───────────┴──────────┘          │
      └──────────────── issued, and by PUBACK owed ────────────────────────────────┘

    oracle.py     numbered readings, and which of them the broker has taken
    devices.py    publishes them, and notes each PUBACK
    receiver.py   verifies signatures, answers by its policy, remembers everything in order
    link.py       a TCP connection's way through the suite: to be stalled, cut, reset
    process.py    `forwarder run` in a process of its own, and its commands
    launcher.py   starts the forwarder so that it dies at a named point
    ports.py      ports that stay free while whoever listens on them is dead
    disk.py       small file systems that fill up, fail, and lose their power
    namespaces.py machines of its own on a network that can be cut
    stage.py      all of these, wired; injects nothing by itself
    replicas.py   the same with three replicas on one database
    scenarios/    what is done to a stage, one function a scenario
    numbers.py    whether page, status and metrics tell the same numbers at the same moment
    judge.py      what is owed against what arrived; pure
    run.py        scenarios one after the other, and the table that they come to

Run `make chaos`, or `python -m chaos --help`.
"""
