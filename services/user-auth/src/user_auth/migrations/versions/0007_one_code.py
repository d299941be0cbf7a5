"""One code for each thing that stands between a person and Microsoft."""

from alembic import op

revision = "0007"
down_revision = "0006"

_RENAMED = {"reconnect_required": "account_not_connected", "admin_must_act": "admin_required"}
_RENAME = """UPDATE connection SET problem = problem || '{{"code": "{1}"}}' WHERE problem ->> 'code' = '{0}'"""


def upgrade() -> None:
    _rename(_RENAMED)


def downgrade() -> None:
    _rename({new: old for old, new in _RENAMED.items()})


def _rename(codes: dict[str, str]) -> None:
    op.execute("SET LOCAL app.scope = 'system'")  # the owner is bound to one organisation as well
    for old, new in codes.items():
        op.execute(_RENAME.format(old, new))
