"""A database as it was before later migrations, for tests of what these make of what is there."""

from sqlalchemy.ext.asyncio import create_async_engine

from shared.hosting.migrate import move


async def back_to(revision: str, package: str, owner_url: str) -> None:
    """Undo the service's migrations after ``revision``, newest first; ``migrate`` does them again."""
    engine = create_async_engine(owner_url)
    async with engine.begin() as connection:
        await connection.run_sync(lambda plain: move(plain, package, revision, back=True))
    await engine.dispose()
