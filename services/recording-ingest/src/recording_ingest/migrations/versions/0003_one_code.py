"""One code for each thing that stands between a person and Microsoft."""

from alembic import op

revision = "0003"
down_revision = "0002"

_RENAMED = {"connection_broken": "account_not_connected", "auto_recording_switched_off": "feature_off"}
_ARTEFACT = "UPDATE artefact SET code = '{1}' WHERE code = '{0}'"
_ABSENCE = """UPDATE ledger_meeting SET absences = jsonb_set(absences, '{{{2},code}}', '"{1}"')
    WHERE absences -> '{2}' ->> 'code' = '{0}'"""


def upgrade() -> None:
    _rename(_RENAMED)


def downgrade() -> None:
    _rename({new: old for old, new in _RENAMED.items()})


def _rename(codes: dict[str, str]) -> None:
    op.execute("SET LOCAL app.scope = 'system'")  # the owner is bound to one organisation as well
    for old, new in codes.items():
        op.execute(_ARTEFACT.format(old, new))
        for kind in ("recording", "transcript"):
            op.execute(_ABSENCE.format(old, new, kind))
