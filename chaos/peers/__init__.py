"""
The forwarder beside other programs of its kind: the same devices, broker, receiver, and faults for each.

    contestants.py    a program in a process of its own, to be killed and started again
    receiver.py       a receiver of payloads as they came
    trial.py          one program and one fault, and what became of every reading
    table.py          the trials for people

`make peers` installs the others and runs it; `python -m chaos.peers --help` says what can be chosen.
"""
