#!/bin/sh
# A standby: a copy of the primary, made once, that streams from it from then on.
set -e
SOURCE='host=postgres user=standby password=demo application_name=standby'
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  until pg_basebackup --dbname="$SOURCE" --pgdata="$PGDATA" --write-recovery-conf --checkpoint=fast; do
    sleep 1
  done
  chmod 0700 "$PGDATA"
fi
# The primary's settings came along. Promoted, it has no standby to wait for: it goes on alone.
exec postgres -c synchronous_standby_names=
