"""What a page owes to whoever hears it, or sees it badly: names, one title, contrast, room at 400 pixels."""

from playwright.async_api import Page

_NAMED = {
    *("button", "link", "textbox", "searchbox", "spinbutton", "combobox", "checkbox"),
    *("image", "dialog", "progressbar", "meter", "navigation", "form", "search", "complementary"),
}


async def accessibility_problems(page: Page) -> list[str]:
    """Name what in the tree that screen readers are given has no name, and where the page's outline is wrong."""
    session = await page.context.new_cdp_session(page)
    nodes = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    await session.detach()
    shown = [node for node in nodes if not node["ignored"]]
    roles = [node["role"]["value"] for node in shown]
    nameless = [
        f"{role} without a name"
        for role, node in zip(roles, shown, strict=True)
        if role in _NAMED and not node.get("name", {}).get("value", "").strip()
    ]
    outline = [f"{role}: {roles.count(role)}" for role in ("main", "banner") if roles.count(role) != 1]
    return nameless + outline + [str(problem) for problem in await page.evaluate(_STRUCTURE)]


async def contrast_problems(page: Page) -> list[str]:
    """Name visible text whose contrast is below WCAG's AA: 4.5, or 3 where it is large."""
    return [str(problem) for problem in await page.evaluate(_CONTRAST)]


_STRUCTURE = """() => {
  const found = [];
  const levels = [...document.querySelectorAll("h1, h2, h3")].map((one) => Number(one.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) found.push(`titles: ${levels}`);
  levels.forEach((level, place) => { if (level > (levels[place - 1] ?? 0) + 1) found.push(`skipped to h${level}`); });
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  found.push(...ids.filter((id, place) => ids.indexOf(id) !== place).map((id) => `id twice: ${id}`));
  if (!document.documentElement.lang) found.push("no language");
  if (!document.title.includes(document.querySelector("h1")?.textContent)) found.push(`title: ${document.title}`);
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) found.push(`${wide} pixels too wide`);
  return found;
}"""

_CONTRAST = """() => {
  const parse = (text) => {
    const numbers = text.match(/-?[\\d.]+(e-?\\d+)?/g)?.map(Number) ?? [0, 0, 0, 0];
    const scale = text.startsWith("color(") ? 255 : 1;
    return { rgb: numbers.slice(0, 3).map((one) => one * scale), alpha: numbers[3] ?? 1 };
  };
  const over = (front, back) => front.rgb.map((one, place) => one * front.alpha + back[place] * (1 - front.alpha));
  const backOf = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(parse(getComputedStyle(one).backgroundColor));
    return layers.reduceRight((back, layer) => over(layer, back), [255, 255, 255]);
  };
  const light = (rgb) => {
    const linear = (one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map((one) => linear(one / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || element.closest(".unseen, option, noscript")) continue;
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const back = backOf(element);
    const lights = [light(over(parse(style.color), back)), light(back)].sort((one, other) => other - one);
    const ratio = (lights[0] + 0.05) / (lights[1] + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""
