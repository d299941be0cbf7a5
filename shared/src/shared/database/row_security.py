"""Row-level security: a transaction sees the rows of its own organisation only; the system scope sees all."""


def protecting(table: str) -> str:
    """The statement that protects a table with ``org_id``, from its owner too; run again it takes no lock."""
    return f"""DO $do$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = current_schema() AND tablename = '{table}') THEN
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
            ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
            CREATE POLICY organisation ON {table} USING (
                org_id = current_setting('app.org_id', true) OR current_setting('app.scope', true) = 'system');
        END IF;
    END $do$"""
