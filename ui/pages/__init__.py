"""The pages, in the order of the navigation. A page is a module with a `PAGE`."""

from ui.page import Page
from ui.pages import market, system

PAGES: tuple[Page, ...] = (market.PAGE, system.PAGE)
