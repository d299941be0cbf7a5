"""One code for each thing that stands between a person and Microsoft."""

from alembic import op

revision = "0003"
down_revision = "0002"

_RENAME = """UPDATE meeting SET problem = problem || '{{"code": "{}"}}' WHERE problem ->> 'code' = '{}'"""


def upgrade() -> None:
    op.execute("SET LOCAL app.scope = 'system'")  # the owner is bound to one organisation as well
    op.execute(_RENAME.format("account_not_connected", "connection_required"))


def downgrade() -> None:
    op.execute("SET LOCAL app.scope = 'system'")
    op.execute(_RENAME.format("connection_required", "account_not_connected"))
