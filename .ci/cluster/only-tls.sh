#!/bin/sh
# At the first start of PostgreSQL: it takes nothing but TLS from the network. Its key must be its own, and no one else's to read.
set -eu
cp /tls/tls.crt "$PGDATA/server.crt"
install -m 600 /tls/tls.key "$PGDATA/server.key"
echo 'ssl = on' >> "$PGDATA/postgresql.conf"
sed -i 's/^host all all all/hostssl all all all/' "$PGDATA/pg_hba.conf"
