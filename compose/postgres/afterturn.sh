#!/bin/sh
# Runs once, when the data folder is new: a login that is neither superuser nor exempt from row-level security, and its
# database. The two roles that each transaction chooses from are made here, so that the login need not make roles.
# By hand it may be run again: what is there stays, what is missing is made, and the password is the one given now.
set -eu
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --set=password="$AFTERTURN_DB_PASSWORD" \
  --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
select format('create role %I %s', wanted, options)
from (values
  ('afterturn', 'login nosuperuser nobypassrls nocreaterole nocreatedb'),
  ('afterturn_system', 'nologin'),
  ('afterturn_tenant', 'nologin')
) as roles (wanted, options)
where not exists (select from pg_roles where rolname = wanted) \gexec
alter role afterturn password :'password';
select current_setting('server_version_num')::int >= 160000 as each_grant_says_so \gset
\if :each_grant_says_so
grant afterturn_system, afterturn_tenant to afterturn with inherit false;
\else
alter role afterturn noinherit;
grant afterturn_system, afterturn_tenant to afterturn;
\endif
select 'create database afterturn owner afterturn'
where not exists (select from pg_database where datname = 'afterturn') \gexec
\connect afterturn
\if :each_grant_says_so
\else
-- Who inherits nothing has no right to it as the database's owner.
alter schema public owner to afterturn;
\endif
create extension if not exists vector;
SQL
