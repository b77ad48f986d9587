"""Draws the pictures of docs/web.md; with a FOLDER, all views: `python -m tests.support.page_pictures [FOLDER]`."""

import asyncio
import os
import sys
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path
from typing import Literal

from afterturn_client.memory_client import MemoryClient
from PIL import Image
from playwright.async_api import Browser, Page

from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import TemporalServer
from services.postgres.migrate import upgrade
from services.resources import open_resources
from services.worker.run import running_workers
from tests.support.browser import running_browser, tab
from tests.support.main_job import settings_of
from tests.support.memory_api import running_api
from tests.support.openai_server import OpenAIServer
from tests.support.page_sample import ROOM, fill
from tests.support.servers import FAST_POSTGRES, short_folder

_FOLDER = Path("docs/images")
_VIEWS = {
    "room": f"#/rooms/{ROOM}",
    "rooms": "#/rooms",
    "memory": "#/memories/user/ana/user_home_days",
    "memories": "#/memories/user/ana",
    "owners": "#/memories",
    "backfills": "#/backfills",
    "quarantine": "#/quarantine",
    "statistics": "#/statistics",
    "context": f"#/context?room={ROOM}",
    "search": "#/search",
}
Scheme = Literal["light", "dark"]
_SHOWN: dict[Scheme, Collection[str]] = {"light": ("room", "backfills"), "dark": ("memory", "context")}
_ALL: dict[Scheme, Collection[str]] = {"light": _VIEWS, "dark": _VIEWS}


async def draw(folder: Path, wanted: Mapping[Scheme, Collection[str]]) -> None:
    with short_folder() as data:
        async with AsyncExitStack() as stack:
            url = await _sample(stack, data)
            browser = await stack.enter_async_context(running_browser())
            for scheme, names in wanted.items():
                await _pictures(browser, url, folder, scheme, names)
            await _narrow(browser, url, folder)


async def _sample(stack: AsyncExitStack, data: Path) -> str:
    redis = RedisServer(data / "redis")
    temporal = TemporalServer(data / "temporal")
    postgres = PostgresServer(data / "postgres", settings=FAST_POSTGRES)
    for server in (redis, temporal, postgres):
        await server.start()
        stack.push_async_callback(server.stop)
    await upgrade(postgres.url)
    model = await stack.enter_async_context(OpenAIServer())
    os.environ.update(settings_of(redis.url, postgres.url, temporal.address, model))
    resources = await stack.enter_async_context(open_resources())
    await stack.enter_async_context(running_workers())
    memory = await stack.enter_async_context(MemoryClient.connect())
    await fill(resources, memory, model)
    return await stack.enter_async_context(running_api(temporal_ui_url=temporal.ui_url))


async def _pictures(browser: Browser, url: str, folder: Path, scheme: Scheme, names: Collection[str]) -> None:
    async with tab(browser, url, color_scheme=scheme, reduced_motion="reduce") as page:
        for name in names:
            await page.goto(f"/{_VIEWS[name]}")
            await page.locator("main h1").wait_for()
            if name == "search":
                await page.get_by_label("Look for").fill("home office days")
                await page.keyboard.press("Enter")
                await page.locator(".hits").wait_for()
            if name == "room":
                await page.locator(".steps").first.wait_for()
                await page.locator(".composer h2").evaluate("(title) => title.scrollIntoView({ block: 'end' })")
            await page.wait_for_timeout(4_000 if name == "statistics" else 1_000)
            await _keep(page, folder / f"{name}-{scheme}.png")


async def _narrow(browser: Browser, url: str, folder: Path) -> None:
    async with tab(browser, url, reduced_motion="reduce") as page:
        await page.set_viewport_size({"width": 400, "height": 800})
        await page.goto(f"/{_VIEWS['memory']}")
        await page.locator(".timeline").wait_for()
        await page.wait_for_timeout(500)
        await _keep(page, folder / "memory-narrow.png")


async def _keep(page: Page, path: Path) -> None:
    """Keep a picture of what is shown; 128 colours are enough, and a quarter of the size."""
    drawn = Image.open(BytesIO(await page.screenshot()))
    drawn.convert("RGB").quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    into, views = (Path(sys.argv[1]), _ALL) if len(sys.argv) > 1 else (_FOLDER, _SHOWN)
    into.mkdir(parents=True, exist_ok=True)
    asyncio.run(draw(into, views))
