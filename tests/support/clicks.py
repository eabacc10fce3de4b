"""A counter of clicks in a window of the browser, over all the views that were opened in it."""

from playwright.async_api import BrowserContext, Page

_COUNTED = """addEventListener("click", (event) => {
    if (event.isTrusted) sessionStorage.clicks = Number(sessionStorage.clicks ?? 0) + 1;
}, true);"""


async def count_clicks(context: BrowserContext) -> None:
    """Count clicks in every window that is opened from now on."""
    await context.add_init_script(_COUNTED)


async def clicks(page: Page) -> int:
    return int(await page.evaluate("Number(sessionStorage.clicks ?? 0)"))
