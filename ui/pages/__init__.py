"""The pages, in the order of the navigation. A page is a module with a `PAGE`."""

from ui.page import Page
from ui.pages import history, market, system, trade, travel

PAGES: tuple[Page, ...] = (market.PAGE, trade.PAGE, history.PAGE, travel.PAGE, system.PAGE)
