"""A real Chromium for the tests: found, started, and watched for what a page must never do."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

_VARIABLE = "CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_WANTED = f"the web page's tests need a browser: install Chromium, or let {_VARIABLE} name one; Chrome and Edge will do"
_INSTALL = ("apt-get update", "apt-get install -y --no-install-recommends chromium")
_INSTALL_SECONDS = 600
# A container's root cannot have the sandbox, and its /dev/shm may be tiny.
_ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")


class BrowserMissingError(Exception):
    """There is no Chromium, and it cannot be installed from here."""


def find_browser() -> str:
    """Give the program that `CHROMIUM` names, or one on PATH."""
    named = os.environ.get(_VARIABLE)
    found = named if named and Path(named).exists() else next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise BrowserMissingError(_WANTED)
    return found


def get_browser() -> str:
    """Give a browser, installing it first where this is a Debian whose root we are."""
    try:
        return find_browser()
    except BrowserMissingError:
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            raise
    for command in _INSTALL:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            command.split(), env=environment, stdout=subprocess.DEVNULL, timeout=_INSTALL_SECONDS, check=False
        )
        if done.returncode != 0:
            raise BrowserMissingError(f"`{command}` ended with {done.returncode}; {_WANTED}")
    return find_browser()


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_browser(), args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def tab(browser: Browser, url: str, **context: Any) -> AsyncIterator[Page]:
    """Open a tab with a session of its own; what goes wrong in the page fails the test when the tab closes."""
    wrong: list[str] = []
    session = await browser.new_context(base_url=url, viewport={"width": 1200, "height": 850}, **context)
    page = await session.new_page()
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", lambda said: wrong.append(said.text) if _is_wrong(said.type, said.text) else None)
    try:
        yield page
    finally:
        await session.close()
    assert wrong == []


def _is_wrong(kind: str, text: str) -> bool:
    # A 401 or 404 is an answer that the page understands; the browser's console names each all the same.
    return kind == "error" and "Failed to load resource" not in text


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{get_browser()}\n")
    except BrowserMissingError as error:
        sys.exit(str(error))
