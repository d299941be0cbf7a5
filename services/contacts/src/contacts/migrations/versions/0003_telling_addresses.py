"""Which contacts changed their addresses, owner or sharing, in the order of transactions that are over.

Triggers write it, so that no way to change a contact is forgotten. ``turned`` is the transaction, not a counter: a
counter's lower number may be committed after a higher one was read.
"""

from alembic import op

from shared.hosting.migrate import protect

revision = "0003"
down_revision = "0002"

TABLE = """CREATE TABLE address_change (
    org_id text NOT NULL, contact_id text NOT NULL, user_id text NOT NULL,
    turned xid8 NOT NULL DEFAULT pg_current_xact_id(), PRIMARY KEY (org_id, contact_id))"""
_NOTE = """INSERT INTO address_change (org_id, contact_id, user_id) SELECT c.org_id, c.id, c.user_id FROM changed c
    {where} ORDER BY c.org_id, c.id
    ON CONFLICT (org_id, contact_id) DO UPDATE SET user_id = excluded.user_id, turned = excluded.turned"""
_DIFFERS = """JOIN former f ON f.org_id = c.org_id AND f.id = c.id
    WHERE (f.emails, f.shared, f.user_id) IS DISTINCT FROM (c.emails, c.shared, c.user_id)"""
_FUNCTION = "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $do$ BEGIN {body}; RETURN NULL; END $do$"
FUNCTIONS = {"note_addresses": _NOTE.format(where=""), "note_changed_addresses": _NOTE.format(where=_DIFFERS)}
TRIGGERS = {
    "addresses_of_new": "INSERT ON contact REFERENCING NEW TABLE AS changed|note_addresses",
    "addresses_of_changed": "UPDATE ON contact REFERENCING OLD TABLE AS former NEW TABLE AS changed|"
    "note_changed_addresses",
    "addresses_of_gone": "DELETE ON contact REFERENCING OLD TABLE AS changed|note_addresses",
}


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("INSERT INTO address_change (org_id, contact_id, user_id) SELECT org_id, id, user_id FROM contact")
    op.execute("CREATE INDEX address_change_in_order ON address_change (org_id, turned, contact_id)")
    protect(op, "address_change")
    for name, body in FUNCTIONS.items():
        op.execute(_FUNCTION.format(name=name, body=body))
    for name, when in TRIGGERS.items():
        on, _, function = when.partition("|")
        op.execute(f"CREATE TRIGGER {name} AFTER {on} FOR EACH STATEMENT EXECUTE FUNCTION {function}()")


def downgrade() -> None:
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON contact")
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}()")
    op.execute("DROP TABLE address_change")
