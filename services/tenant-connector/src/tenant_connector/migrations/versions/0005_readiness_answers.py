"""What a person brought no answer to, when a check began, and patience capability by capability."""

from alembic import op

revision = "0005"
down_revision = "0004"

COLUMNS = (
    "ALTER TABLE readiness ADD COLUMN patience_until timestamptz",
    "ALTER TABLE readiness_check ADD COLUMN began_at timestamptz",
    "ALTER TABLE readiness_person ALTER COLUMN lacks DROP NOT NULL, ADD COLUMN without_mailbox boolean",
)
# Who was said to have a mailbox may only have brought no answer, so that is not known any more.
ROWS = (
    "UPDATE readiness SET patience_until = until",
    "UPDATE readiness_check SET began_at = done_at",
    "UPDATE readiness_person SET lacks = lacks - 'mailbox', without_mailbox = nullif(lacks ? 'mailbox', false)",
)
ROWS_BEFORE = (
    "DELETE FROM readiness_person WHERE lacks IS NULL",
    """UPDATE readiness_person SET lacks = lacks || '["mailbox"]' WHERE without_mailbox""",
)
COLUMNS_BEFORE = (
    "ALTER TABLE readiness_person DROP COLUMN without_mailbox, ALTER COLUMN lacks SET NOT NULL",
    "ALTER TABLE readiness_check DROP COLUMN began_at",
    "ALTER TABLE readiness DROP COLUMN patience_until",
)


def _of_everybody(statements: tuple[str, ...]) -> None:
    op.execute("SELECT set_config('app.scope', 'system', true)")
    for statement in statements:
        op.execute(statement)
    op.execute("SELECT set_config('app.scope', '', true)")


def upgrade() -> None:
    for statement in COLUMNS:
        op.execute(statement)
    _of_everybody(ROWS)


def downgrade() -> None:
    _of_everybody(ROWS_BEFORE)
    for statement in COLUMNS_BEFORE:
        op.execute(statement)
