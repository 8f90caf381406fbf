# SPDX-License-Identifier: Apache-2.0
"""Pages of the board in Debian's Chromium."""

from __future__ import annotations

from collections.abc import Sequence
import shutil
from typing import Any

import fixtures
from playwright import sync_api


class Chromium(fixtures.Fixture):
    """A headless browser.

    :ivar refused: what the pages' Content-Security-Policy has refused, and
        the errors of their scripts
    """

    def setUp(self) -> None:
        super().setUp()
        program = shutil.which('chromium')
        if program is None:
            raise RuntimeError('chromium is needed: see bindep.txt')
        playwright = sync_api.sync_playwright().start()
        self.addCleanup(playwright.stop)
        # Its sandbox needs rights that a container does not give.
        self._browser = playwright.chromium.launch(
            executable_path=program, args=['--no-sandbox'])
        self.addCleanup(self._browser.close)
        self.refused: list[str] = []

    def open(self, url: str, scripts: Sequence[str] = (), **options: Any
             ) -> sync_api.Page:
        """Return a page that has a window of its own.

        :param scripts: to run before those of the page
        :param options: of the window, as Playwright has them
        """
        page = self._browser.new_page(**options)
        for script in scripts:
            page.add_init_script(script)
        page.on('console', lambda message: self.refused.append(message.text)
                if 'Content Security Policy' in message.text else None)
        page.on('pageerror', lambda error: self.refused.append(str(error)))
        page.goto(url)
        return page
