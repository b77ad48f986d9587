"""The web page in a real Chromium: a turn on its way, hands on the keyboard, hostile text, keys, outages."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Page, Response, expect
from playwright.async_api import Error as PlaywrightError

from services.domain.credentials import Scope, make_key
from services.domain.memories import NewMemory, owner_of
from services.memory_api.app import create_app
from services.operations.backfills import Backfills
from services.postgres.api.keys import ApiKeys, Binding
from services.resources import Resources
from services.settings import MemoryApiSettings
from services.worker.maintenance import wire_analytics
from services.worker.run import running_workers
from tests.support.browser import running_browser, tab
from tests.support.loads import add
from tests.support.memory_api import archived, digested, quarantine
from tests.support.openai_server import OpenAIServer
from tests.support.page_checks import accessibility_problems, contrast_problems
from tests.support.remembering import Finding, Remembering
from tests.support.served import served
from tests.support.tenants import NOON

# If one letter of it becomes markup, the page is marked.
CANARY = "<img src=x onerror=\"document.documentElement.dataset.owned='yes'\">"
ROOM = "user:ana"
VIEWS = (
    "#/rooms",
    f"#/rooms/{ROOM}",
    "#/memories",
    "#/memories/user/ana",
    "#/memories/user/ana/user_note",
    "#/search?of=user&id=ana",
    f"#/context?room={ROOM}",
    "#/backfills",
    "#/quarantine",
    "#/statistics",
)
SHAPES: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 1200), ("dark", 400))
OPERATORS = ["Backfills", "Quarantine", "Statistics"]
READERS = ["Rooms", "Memories", "Search", "Context"]
AREAS: dict[Scope, list[str]] = {"ingest": ["Rooms"], "read": READERS, "write": [], "admin": READERS + OPERATORS}
# Every step that was ever shown, noted by the page itself: none is missed between two looks of the test's.
NOTE_STEPS = """() => {
  window.steps = [];
  new MutationObserver(() => {
    const step = document.querySelector(".message.user")?.dataset.step;
    if (step && window.steps.at(-1) !== step) window.steps.push(step);
  }).observe(document, { subtree: true, childList: true, attributes: true });
}"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
TO_REACH = """() => {
  const all = [...document.querySelectorAll("a, button, input, textarea, select, summary")];
  window.left = new Set(all.filter((one) => one.checkVisibility({ visibilityProperty: true })));
  document.activeElement.blur();
  return window.left.size;
}"""
REACHED = """() => {
  const at = document.activeElement;
  window.left.delete(at);
  const marked = at === document.body || getComputedStyle(at).outlineStyle !== "none";
  return marked ? [] : [`unmarked: ${at.outerHTML.slice(0, 80)}`];
}"""
FOCUSED = "() => document.activeElement.dataset.focus ?? document.activeElement.id ?? ''"


@pytest.fixture
async def url(environment: None) -> AsyncIterator[str]:
    settings = MemoryApiSettings(_env_file=None, temporal_ui_url="http://temporal.example.org")
    async with served(create_app(settings)) as address:
        yield address


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    # A machine that stands still for some seconds shows nothing new in the five that are the default.
    expect.set_options(timeout=20_000)
    async with running_browser() as started:
        yield started


async def key_with(resources: Resources, *scopes: Scope, user: str | None = None) -> str:
    key = make_key()
    bound = Binding(user, None)
    await ApiKeys(resources.database).add(key, name="test", scopes=scopes, binding=bound, expires_at=None)
    return key.key


async def sign_in(page: Page, key: str) -> None:
    await page.get_by_label("API key").fill(key)
    await page.keyboard.press("Enter")


async def fill(resources: Resources, said: str) -> None:
    """Say `said` in a message, its summaries and a memory, and quarantine something; no worker is needed."""
    await archived(resources, ROOM, said, user_id="ana")
    await digested(resources, ROOM, said)
    await quarantine(resources.database, ROOM)
    await resources.memories.save(owner_of("user", "ana"), [NewMemory("user_note", said, asserted_at=NOON)])


async def open_view(page: Page, view: str) -> None:
    await page.goto(f"/{view}")
    await page.locator("main h1").wait_for()
    if "search" in view:
        await page.get_by_label("Look for").fill("note")
        await page.keyboard.press("Enter")
        await page.locator(".hits > li").first.wait_for()
    if "context" in view:
        await page.locator(".markdown").wait_for()


async def test_a_turn_shows_up_in_another_tab_step_by_step_to_its_memory(
    resources: Resources, model: OpenAIServer, url: str, browser: Browser
) -> None:
    may_answer = asyncio.Event()
    remembering = Remembering(findings=[Finding("Lima", "The user moved to Lima.", slug="user_home")])

    async def held(request: dict[str, Any]) -> str:
        await may_answer.wait()
        return remembering(request)

    model.answer = held
    async with AsyncExitStack() as workers, tab(browser, url) as watching, tab(browser, url) as writing:
        for page in (watching, writing):
            await page.goto(f"/#/rooms/{ROOM}")
        await expect(watching.get_by_text("Nothing was said here yet.")).to_be_visible()
        await watching.evaluate(NOTE_STEPS)
        await writing.get_by_label("What the user said").fill("I moved to Lima in May")
        await writing.get_by_label("The reply").fill("Lima it is!")
        await writing.get_by_role("button", name="Record the turn").click()
        await expect(writing.get_by_text("2 messages recorded.")).to_be_visible()
        message = watching.locator(".message.user", has_text="I moved to Lima in May")
        await expect(message).to_have_attribute("data-step", "buffered")
        # No sooner: a page that is kept from looking for a second would be shown the next step at once.
        await workers.enter_async_context(running_workers())
        await expect(message).to_have_attribute("data-step", "archived", timeout=20_000)
        may_answer.set()
        await expect(message).to_have_attribute("data-step", "digested", timeout=20_000)
        steps = await watching.evaluate("window.steps")
        way = ["buffered", "archived", "summarised", "digested"]
        assert steps[:2] == way[:2]
        assert steps == [step for step in way if step in steps]
        await message.get_by_role("link", name="user_home").click()
        await expect(watching.get_by_role("heading", level=1)).to_have_text("user_home")
        await expect(watching.locator("main > blockquote")).to_have_text("The user moved to Lima.")
        # And back: from the memory to the message that bears it out.
        await watching.get_by_role("link", name=f"{ROOM} #1").click()
        await expect(watching.locator(".message.pointed .content")).to_have_text("I moved to Lima in May")
        await watching.locator(".message.pointed summary").click()
        run = watching.get_by_role("link", name="room-digest")
        to = await run.get_attribute("href") or ""
        assert re.fullmatch(r"http://temporal\.example\.org/namespaces/test-\w+/workflows/room-digest.+/history", to)


async def test_a_backfill_is_started_in_one_tab_and_steered_in_another(
    resources: Resources, worker: None, url: str, browser: Browser
) -> None:
    # Far more than are loaded before it is cancelled.
    await add(resources, "company", 400)
    await Backfills(resources.temporal).start_one("user", "never-seen")
    async with tab(browser, url) as starting, tab(browser, url) as steering:
        for page in (starting, steering):
            await page.goto("/#/backfills")
            failed = page.get_by_role("listitem").filter(has_text="load-user-memories:never-seen")
            await expect(failed).to_contain_text("failed", timeout=20_000)
        form = starting.get_by_role("form", name="Start a backfill")
        await form.get_by_label("Of", exact=True).select_option("companies")
        await form.get_by_label("Owners a second").fill("2")
        await form.get_by_role("button", name="Start").click()
        for page in (starting, steering):
            first = page.get_by_role("list", name="Backfills").get_by_role("listitem").first
            await expect(first).to_contain_text("load-all-companies-memories", timeout=20_000)
            await expect(first).to_contain_text("of 400 owners", timeout=20_000)
        card = steering.get_by_role("listitem").filter(has_text="load-all-companies-memories")
        await card.get_by_role("button", name="Pause").click()
        await expect(card).to_contain_text("paused", timeout=20_000)
        await card.get_by_role("button", name="Resume").click()
        await expect(card).to_contain_text("running", timeout=20_000)
        to = await card.get_by_role("link", name="Open in Temporal").get_attribute("href") or ""
        assert "/workflows/load-all-companies-memories/" in to
        await card.get_by_role("button", name="Cancel").click()
        await steering.get_by_role("button", name="Cancel it").click()
        for page in (starting, steering):
            ended = page.get_by_role("listitem").filter(has_text="load-all-companies-memories")
            await expect(ended).to_contain_text("cancelled", timeout=60_000)


async def test_a_keyboard_goes_everywhere(resources: Resources, url: str, browser: Browser) -> None:
    await fill(resources, "I live in Lima")
    async with tab(browser, url) as page:
        press = page.keyboard.press
        # However late the second key of two comes here, the page has not waited for it too long.
        await page.clock.set_fixed_time(NOON)
        await open_view(page, "#/rooms")
        await press("Tab")
        await press("Enter")
        assert await page.evaluate(FOCUSED) == "main"
        await press("?")
        await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
        await press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        for letter, title in zip("mscbqtr", [*READERS[1:], *OPERATORS, "Rooms"], strict=True):
            await press("g")
            await press(letter)
            await expect(page.get_by_role("heading", level=1)).to_have_text(title)
            # These two are for typing at once; a key that is typed there must not lead away.
            if title in {"Search", "Context"}:
                await press("m")
                await expect(page.get_by_role("heading", level=1)).to_have_text(title)
                await page.evaluate("document.activeElement.blur()")
        await press("j")
        await press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text(ROOM)
        await expect(page.locator(".message")).to_have_count(1)
        assert await never_focused(page) == []


def note_refused(refused: list[str], answer: Response) -> None:
    if answer.status >= 400:
        refused.append(answer.url)


async def never_focused(page: Page) -> list[str]:
    """Press Tab all the way round; name what never had the focus, or had it without a mark."""
    count = await page.evaluate(TO_REACH)
    unmarked = []
    for _ in range(count + 2):
        await page.keyboard.press("Tab")
        unmarked += await page.evaluate(REACHED)
    return unmarked + list(await page.evaluate("() => [...window.left].map((one) => one.outerHTML.slice(0, 80))"))


async def test_nothing_that_was_said_becomes_markup(resources: Resources, url: str, browser: Browser) -> None:
    await fill(resources, f"note {CANARY}")
    async with tab(browser, url) as page:
        for view in VIEWS[1:7]:
            await open_view(page, view)
            if view != VIEWS[2]:
                await expect(page.locator("main").get_by_text(CANARY).first).to_be_visible()
        # An address may come from anybody.
        for view in (
            f"#/memories/user/ana/{quote(CANARY)}",
            f"#/rooms/{quote(CANARY)}",
            "#/rooms/%E0%A4%A",
            "#/nowhere",
        ):
            await open_view(page, view)
        assert await page.locator("img[src=x]").count() == 0
        assert await page.evaluate("document.documentElement.dataset.owned") is None
    await refuses_our_own_mistakes(browser, url)


async def refuses_our_own_mistakes(browser: Browser, url: str) -> None:
    async with await browser.new_context() as session:
        page = await session.new_page()
        answer = await page.goto(url)
        assert answer is not None
        policy = (await answer.all_headers())["content-security-policy"]
        assert "default-src 'none'" in policy
        assert not re.search(r"unsafe|data:|https?:|\*", policy)
        with pytest.raises(PlaywrightError, match="TrustedHTML"):
            await page.evaluate("(said) => { document.body.innerHTML = said; }", CANARY)


async def test_every_view_can_be_read_in_both_schemes_and_at_400_pixels(
    resources: Resources, url: str, browser: Browser
) -> None:
    await fill(resources, "A note: I live in Lima")
    await wire_analytics(resources).take(run_id="run")
    papers = []
    for scheme, width in SHAPES:
        async with tab(browser, url, color_scheme=scheme, reduced_motion="reduce") as page:
            await page.set_viewport_size({"width": width, "height": 800})
            for view in VIEWS:
                await open_view(page, view)
                assert await contrast_problems(page) == [], (scheme, view)
                assert await accessibility_problems(page) == [], (scheme, view)
            papers.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(set(papers)) == 2


async def test_a_key_sees_what_it_may_and_stays_in_its_tab(resources: Resources, url: str, browser: Browser) -> None:
    await fill(resources, "I live in Lima")
    for scope, areas in AREAS.items():
        key = await key_with(resources, scope, user=None if scope == "admin" else "ana")
        refused: list[str] = []
        async with tab(browser, url) as page:
            await page.goto(f"/#/rooms/{ROOM}")
            await sign_in(page, "atk_wrong")
            await expect(page.get_by_text("This key is not known here.")).to_be_visible()
            page.on("response", partial(note_refused, refused))
            await sign_in(page, key)
            await page.locator("main h1:not(:text('Sign in'))").wait_for()
            links = page.get_by_role("navigation").get_by_role("link")
            assert await links.all_inner_texts() == areas
            may_record = scope in {"ingest", "admin"}
            assert await page.get_by_role("button", name="Record the turn").count() == may_record
            for title in areas:
                await links.get_by_text(title, exact=True).click()
                await expect(page.get_by_role("heading", level=1)).to_have_text(title)
            await page.goto("/#/quarantine")
            shown = "not json" if scope == "admin" else "This key does not open this page."
            await expect(page.get_by_text(shown, exact=False).first).to_be_visible()
            assert refused == []
            assert await page.evaluate("Object.values(sessionStorage)") == [key]
            assert await page.evaluate("localStorage.length + document.cookie.length") == 0
            await page.get_by_role("button", name="Sign out").click()
            await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
            assert await page.evaluate("sessionStorage.length") == 0


async def test_it_looks_on_while_it_is_looked_at_and_says_what_is_wrong(
    resources: Resources, url: str, browser: Browser
) -> None:
    await fill(resources, "I live in Lima")
    async with tab(browser, url) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.clock.install()
        await open_view(page, "#/rooms")
        await page.evaluate(HIDE, True)
        await page.clock.run_for(10_000)
        seen = len(asked)
        await page.clock.run_for(600_000)
        assert len(asked) == seen
        async with page.expect_request("**/v1/rooms"):
            await page.evaluate(HIDE, False)
        await page.clock.resume()
        # The API goes away, and comes back.
        await page.route("**/v1/rooms", lambda route: route.abort())
        await expect(page.locator("#pulse")).to_have_text("Reconnecting")
        await page.unroute("**/v1/rooms")
        await expect(page.locator("#pulse")).to_have_text("Live")
        # A problem document's own words.
        await page.goto("/#/memories/user/ana/never_heard_of")
        await expect(page.get_by_role("alert")).to_contain_text("There is no such memory")
