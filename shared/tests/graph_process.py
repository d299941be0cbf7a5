"""A process of its own that calls Graph; told what by JSON on standard input. Its last line is how its calls ended."""

import asyncio
import json
import random
import sys
from collections import Counter
from typing import Any

from shared.database.unit_of_work import Database
from shared.graph import Graph, slots
from shared.graph.errors import GraphError
from shared.settings import ServiceSettings
from shared.testing.scripted import CountedTokens, Naps

slots._DATABASE_S = 60.0  # on a busy machine a database that is there may answer late


async def run(said: dict[str, Any]) -> Counter[str]:
    settings = ServiceSettings(**said["settings"])
    db = Database(settings.database_url)
    graph, ended, chance = Graph(settings, CountedTokens(), db), Counter[str](), random.Random(said["seed"])
    graph.sleep = Naps()

    async def call(person: str) -> None:
        caller = graph.as_user("acme", person, chance.choice(["interactive", "fresh", "backfill"]))
        try:
            await (caller.get("/me/events") if chance.random() < 0.6 else caller.post("/me/events", {}))
        except GraphError as error:
            ended[type(error).__name__] += 1
        else:
            ended["done"] += 1

    people = [chance.choice(said["people"]) for _ in range(said["calls"])]
    await asyncio.gather(*map(call, people))
    await graph.aclose()
    await db.close()
    return ended


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))  # noqa: T201 - what the parent reads
