"""The pages, in the order of the navigation. A page is a module with a `PAGE`."""

from ui.page import Page
from ui.pages import market

PAGES: tuple[Page, ...] = (market.PAGE,)
