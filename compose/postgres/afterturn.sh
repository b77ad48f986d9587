#!/bin/sh
# Runs once, when the data folder is new: a login that is neither superuser nor exempt from row-level security, and its
# database. The two roles that each transaction chooses from are made here, so that the login need not make roles.
set -eu
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --set=password="$AFTERTURN_DB_PASSWORD" \
  --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
create role afterturn login nosuperuser nobypassrls nocreaterole nocreatedb password :'password';
create role afterturn_system nologin;
create role afterturn_tenant nologin;
grant afterturn_system, afterturn_tenant to afterturn with inherit false;
create database afterturn owner afterturn;
\connect afterturn
create extension vector;
SQL
