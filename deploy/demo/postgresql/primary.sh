#!/bin/sh
# For docker-entrypoint-initdb.d: whom the standby and the forwarder are to the database. Commits wait for the standby
# from the first real start on; in this one nobody could confirm them yet.
set -e
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE standby LOGIN REPLICATION PASSWORD 'demo';
CREATE ROLE forwarder LOGIN PASSWORD 'demo';
CREATE DATABASE forwarder OWNER forwarder;
ALTER SYSTEM SET synchronous_standby_names = 'standby';
SQL
echo 'host replication standby all scram-sha-256' >> "$PGDATA/pg_hba.conf"
