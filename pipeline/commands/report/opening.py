"""Opens a page in the browser, where there is one."""

import os
import sys
import webbrowser

# Any of them: there is something to show a window on, or somebody said what shows pages.
SHOWING = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def open_page(address: str) -> bool:
    """Open the page at `address`; returns whether that was possible. No browser of text takes the terminal."""
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in SHOWING):
        return False
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False
