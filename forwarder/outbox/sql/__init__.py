"""
The SQL that every engine speaks alike: what is seldom run, and what is read.

Parameters are written `?`, and no statement here knows more than standard SQL. The hot path is each engine's own, as
is whatever changes an endpoint's accounts: where those are kept differs.

    connection.py  what a connection has to offer     tables.py     the tables inside one transaction
    operations.py  what time and operators do         queries.py    what is read back
    records.py     deliveries as operators see them   lookup.py     deliveries by id
    quarantine.py  what could not be understood       accounts.py   do the rows agree with each other
    access.py      what commands do                   erasure.py    one device's rows, erased
    endings.py     settlements as rows                bringing_in.py  one transaction's changes
"""
