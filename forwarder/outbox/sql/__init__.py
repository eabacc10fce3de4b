"""
The SQL that every engine speaks alike: what is seldom run, and what is read.

Parameters are written `?`, and no statement here knows more than standard SQL. The hot path is each engine's own, as
is whatever changes an endpoint's accounts: where those are kept differs.

    connection.py  what a connection has to offer     tables.py       the tables inside one transaction
    operations.py  what time and operators do         bringing_in.py  one transaction's changes
    putting.py     readings put into the tables       candidates.py   the last readings of intervals
    endings.py     settlements as rows                quarantine.py   what could not be understood
    queries.py     what is read back                  records.py      deliveries as operators see them
    lookup.py      deliveries by id                   access.py       what commands do
    consistency.py do the rows agree with each other  erasure.py      one device's rows, erased
    devices.py     who reports                        endpoints.py    paused, failing, removed
    minutes.py     what each minute came to           audit.py        who changed what
    shares.py      links for an endpoint's people     copying.py      one engine's rows for another
    webhook_ids.py ids as they are kept
"""
