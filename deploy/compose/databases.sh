#!/bin/sh
# At the first start: for each service a database, the role that owns its tables, its login, and the role of requests.
# The passwords are for development: the server is reachable inside the composed network only.
set -eu
for name in $(awk '/^\[/ { name = $0 } /^database = true/ { gsub(/[][]/, "", name); gsub(/-/, "_", name); print name }' /services.toml); do
  psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
CREATE ROLE ${name}_owner LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD 'development';
CREATE ROLE ${name} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD 'development';
CREATE ROLE ${name}_request LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD 'development';
GRANT ${name}_request TO ${name};
CREATE DATABASE ${name} OWNER ${name}_owner;
SQL
done
