"""Open a page in the browser, if there is one."""

import os
import sys
import webbrowser

# A browser is opened if any of them is set: there is a display, or the user has chosen a browser.
SHOWING = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def open_page(address: str) -> bool:
    """Open the page at `address`, and return whether that was possible. Text-mode browsers are not used."""
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in SHOWING):
        return False
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False
