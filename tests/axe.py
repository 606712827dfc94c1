"""axe-core in headless Chromium: what of a page people with disabilities cannot use."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

RUN = """
const done = arguments[0];
axe.run().then(({ violations }) => done(violations.flatMap(({ id, nodes }) =>
  nodes.map(node => `${id}: ${node.html.slice(0, 200)}`))));
"""


def get_axe(folder: Path) -> str:
    """Return the source of axe-core, installed into a folder by npm; skip the test where that cannot be done."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, for axe-core")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), "axe-core@4"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    if run.returncode:
        pytest.skip(f"npm cannot get axe-core: {run.stderr.strip()[-200:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@contextmanager
def open_chromium(profile: Path) -> Iterator[Any]:
    """Yield selenium's driver of a headless Chromium; skip the test where there is none.

    Args:
        profile: folder for the browser's own files.
    """
    driver = shutil.which("chromedriver")
    if driver is None:
        pytest.skip("needs chromedriver and Chromium")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


def look(browser: Any, *, width: int, dark: bool) -> None:
    """Show pages at a width, in light or dark."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)


def find_violations(browser: Any, axe: str) -> list[str]:
    """Return what axe-core finds on the page that is open: the rule and the element of each violation.

    Args:
        browser: the driver.
        axe: the source of axe-core.
    """
    browser.execute_script(axe)
    violations: list[str] = browser.execute_async_script(RUN)
    return violations
