"""quickXorHash: values that Microsoft's service gave, however the bytes come."""

import base64

import pytest

from shared.graph.quickxor import QuickXor, hash_rest, hashing

PUBLISHED = {
    "": "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "Sg==": "SgAAAAAAAAAAAAAAAQAAAAAAAAA=",
    "tbQ=": "taAFAAAAAAAAAAAAAgAAAAAAAAA=",
    "n6Neh7p6fFgm": "nxiFFw6hCz3wAQsmCQAAAAAAAAA=",
    "h490d57Pqz5q2rtT": "h3gEHe7giWeswgdq3MYupgAAAAA=",
    "gQaybEqS/4UlDc8e4IJm": "gDCALNigBEn8oxAlZ8AzPAAOQZg=",
    "T6LYJIfDh81JrAK309H2JMJTXis=": "zBTHrspn3mEcohlJdIUAbjGNaNg=",
    "PwXNnutoLLmxD8TTog52k8cQkukmT87TTnDipKLHQw==": "PTaGs7yV3FUyBy/SfU6xJRlCJlI=",
    "Mb7EGva2rEE5fENDL85P+BsapHEEjv2/siVhKjvAQe02feExVOQSkfmuYzU/kTF1MaKjPmKF/w+cbvwfdWL8aQ==": (
        "n1anP5NfvD4XDYWIeRPW3ZkPv1Y="
    ),
    "jyibxJSzO6ZiZ0O1qe3tG/bvIAYssvukh9suIT5wEy1JBINVgPiqdsTW0cOpP0aUfP7mgqLfADkzI/m/GgCuVhr8oFLrOCoTx1/p"
    "sBOWwhltCbhUx51Icm9aH8tY4Z3ccU+6BKpYQkLCy0B/A9Zc": "hZfLIilSITC6N3e3tQ/iSgEzkto=",
    "PfxMcUd0vIW6VbHG/uj/Y0W6qEoKmyBD0nYebEKazKaKG+UaDqBEcmQjbfQeVnVLuodMoPp7P7TR1htX5n2VnkHh22xDyoJ8C/ZQ"
    "KiSNqQfXvh83judf4RVr9exJCud8Uvgip6aVZTaPrJHVjQhMCp/dEnGvqg0oN5OVkM2qqAXvA0teKUDhgNM71sDBVBCGXxNOR2bp"
    "bD1iM4dnuT0ey4L+loXEHTL0fqMeUcEi2asgImnlNakwenDzz0x57aBwyq3AspCFGB1ncX4yYCr/OaCcS5OKi/00WH+wNQU3": (
        "QX/YEpG0gDsmhEpCdWhsxDzsfVE="
    ),
    "w0LGhqU1WXFbdavqDE4kAjEzWLGGzmTNikzqnsiXHx2KRReKVTxkv27u3UcEz9+lbMvYl4xFf2Z4aE1xRBBNd1Ke5C0zToSaYw5o"
    "4B/7X99nKK2/XaUX1byLow2aju2XJl2OpKpJg+tSJ2fmjIJTkfuYUz574dFX6/VXxSxwGH/xQEAKS5TCsBK3CwnuG1p5SAsQq3gG"
    "VozDWyjEBcWDMdy8/AIFrj/y03Lfc/RNRCQTAfZbnf2QwV7sluw4fH3XJr07UoD0YqN+7XZzidtrwqMY26fpLZnyZjnBEt1FAZWO"
    "7RnKG5asg8xRk9YaDdedXdQSJAOy6bWEWlABj+tVAigBxavaluUH8LOj+yfCFldJjNLdi90fVHkUD/m4Mr5OtmupNMXPwuG3EQlq"
    "WUVpQoYpUYKLsk7a5Mvg6UFkiH596y5IbJEVCI1Kb3D1": "e3+wo77iKcILiZegnzyUNcjCdoQ=",
}
"""Bytes → hash, both base64: the public table of values that clients of OneDrive test themselves with."""


@pytest.mark.parametrize("piece", [1, 3, 159, 160, 161, 1000])
def test_published_values_come_out_however_the_bytes_are_cut(piece: int) -> None:
    for data, wanted in PUBLISHED.items():
        whole, found = base64.b64decode(data), QuickXor()
        for at in range(0, len(whole), piece):
            found.update(whole[at : at + piece])
            found = QuickXor.of_state(found.state())
        assert (found.digest(), found.size) == (wanted, len(whole))
        assert found.digest() == wanted, "asking does not change it"


@pytest.mark.parametrize(("known", "start"), [(0, 0), (0, 200), (200, 100), (100, 200), (333, 333), (333, 0)])
async def test_bytes_are_hashed_once_wherever_sending_begins(known: int, start: int) -> None:
    data, wanted = list(PUBLISHED.items())[-1]
    whole, hashed, read = base64.b64decode(data), QuickXor(), []

    async def source(position: int):  # type: ignore[no-untyped-def]
        read.append(position)
        for at in range(position, len(whole), 7):
            yield whole[at : at + 7]

    hashed.update(whole[:known])
    sent = b"".join([piece async for piece in hashing(source, hashed)(start)])
    await hash_rest(source, hashed, len(whole))
    assert (sent, hashed.digest()) == (whole[start:], wanted)
    assert read == [min(known, start)]
