"""Chromium for the tests, with its requests and complaints on record."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import pytest
from playwright.sync_api import Page, expect, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


PATIENCE = 120_000  # milliseconds; a busy machine is slow, and only a wrong page waits them out
expect.set_options(timeout=PATIENCE)


@dataclass
class Log:
    """What the page did: requests, errors of the console, exceptions."""

    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@contextmanager
def open_browser(
    *, width: int = 1280, height: int = 900, scheme: Literal["light", "dark"] = "light"
) -> Iterator[tuple[Page, Log]]:
    """Open a page; the test is skipped where no Chromium is installed."""
    executable = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if executable is None:
        pytest.skip("no Chromium is installed")
    log = Log()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: log.requests.append(request.url))
        page.on("pageerror", lambda error: log.problems.append(str(error)))
        page.on(
            "console",
            lambda message: log.problems.append(message.text) if message.type == "error" else None,
        )
        try:
            yield page, log
        finally:
            browser.close()
