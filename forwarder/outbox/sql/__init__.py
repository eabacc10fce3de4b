"""
Engines share this SQL: statements that seldom run, and queries.

Parameters are written `?`, and both SQLite and PostgreSQL understand every statement. Each engine has a hot path of its
own, and changes endpoints' accounts itself, because engines keep those in different tables.

    connection.py  what a connection offers           tables.py       the tables inside one transaction
    operations.py  what time and operators do         bringing_in.py  one transaction's changes
    putting.py     readings put into the tables       candidates.py   the last readings of intervals
    endings.py     settlements as rows                quarantine.py   messages nobody understood
    queries.py     rows read back                     records.py      deliveries as operators see them
    lookup.py      deliveries by id                   access.py       what commands do
    consistency.py do the rows agree with each other  erasure.py      one device's rows, erased
    devices.py     who reports                        endpoints.py    paused, failing, removed
    minutes.py     counts of each minute              audit.py        who changed what
    shares.py      links for an endpoint's people     copying.py      one engine's rows for another
    webhook_ids.py ids as they are kept
"""
