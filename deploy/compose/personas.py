# ruff: noqa: INP001 - a program of the development image, not a package
"""Whose token a request is given in the composed platform: Envoy asks here before it passes a request on.

An answer of 200 has the token of the person whom a cookie names; any other is what the browser gets. The form that
chooses a person is answered here too.
"""

import os

import uvicorn

from dev.embedded.gateway import Personas, PersonaTokens


def create_app() -> Personas:
    return Personas(PersonaTokens(os.environ["PERSONAS_ISSUER"]), os.environ.get("DEVELOPMENT_HOSTS", ""))


if __name__ == "__main__":
    uvicorn.run(create_app(), host="0.0.0.0", port=8080, lifespan="off", access_log=False)  # noqa: S104 - in a container
