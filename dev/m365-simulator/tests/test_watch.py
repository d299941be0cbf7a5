"""The page of whoever watches: what it shows, what its buttons do, and that everybody can use it."""

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import async_playwright, expect

from m365_simulator import Simulator
from shared.testing import chromium

expect.set_options(timeout=30_000)  # a browser on a busy machine
ANNA = "anna@contoso.example"


async def test_it_shows_calls_and_pushes_the_clocks(world: Any) -> None:
    assert "Nobody has called yet" in (await world.http.get("/watch")).text
    await world.graph(world.token(ANNA, "User.Read")).get("/me")
    page = (await world.http.get("/watch")).text
    assert f"<td>{ANNA}</td><td>User.Read</td>" in page
    before = world.simulator.clock.service()
    answer = await world.http.post("/watch", data={"push": "service 90 d"})
    assert (world.simulator.clock.service() - before).days == 90
    assert "The service clock went 90 d on." in (await world.http.get(answer.headers["location"])).text


async def test_it_strikes_and_clears_faults_and_says_what_cannot_be(world: Any) -> None:
    await world.http.post("/watch", data={"fault": "throttle", "path": "/me"})
    assert world.simulator.store.all("faults")[0]["match"] == {"path": "/me"}
    await world.http.post("/watch", data={"clear": "1"})
    assert world.simulator.store.all("faults") == []
    for form in ({"fault": "thunder"}, {"push": "world soon"}, {"push": "moon 1 h"}, {"scenario": "doomsday"}, {}):
        answer = await world.http.post("/watch", data=form)
        assert answer.headers["location"].startswith("/watch?refused="), form


async def test_what_came_in_is_escaped(world: Any) -> None:
    await world.http.get("/v1.0/<script>alert(1)</script>")
    page = (await world.http.get("/watch", params={"done": "<script>"})).text
    assert "<script>" not in page


@pytest.mark.browser
async def test_it_is_accessible_and_fits_a_small_screen(simulator: Simulator) -> None:
    path = chromium.chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=chromium.OPTIONS)
        page = await browser.new_page()
        url = simulator.settings.http_base_url
        await page.goto(f"{url}/v1.0/me")
        await page.goto(f"{url}/watch")
        await page.get_by_role("button", name="+ 1 h on the world clock").press("Enter")
        await expect(page.get_by_role("status")).to_have_text("The world clock went 1 h on.")
        await page.get_by_label("Strike once").select_option("throttle")
        await page.get_by_role("button", name="Strike").click()
        await expect(page.get_by_role("status")).to_contain_text("throttle")
        for theme in ("light", "dark"):
            await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            assert (await Axe().run(page)).response["violations"] == []
        await page.set_viewport_size({"width": 320, "height": 640})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        await browser.close()
