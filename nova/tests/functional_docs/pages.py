# SPDX-License-Identifier: Apache-2.0
"""What the pages of the documentation tell their readers to do."""

from __future__ import annotations

from collections.abc import Iterator
import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).parents[3]
SOURCE = ROOT / 'doc' / 'source'

_BLOCK = re.compile(
    r'^(?P<indent> *)\.\. (?P<kind>code-block|literalinclude):: (?P<what>.+)\n'
    r'(?P<options>(?:(?P=indent) +:.+\n)*)'
    r'(?P<body>(?:\n|(?P=indent) +.*\n)*)', re.MULTILINE)


def all_pages() -> list[str]:
    """Return the names of all pages."""
    return sorted(str(path.relative_to(SOURCE))
                  for path in SOURCE.rglob('*.rst'))


def steps(page: str) -> Iterator[tuple[str, str]]:
    """Yield the steps of a page, as kind and text.

    Kinds are ``ini`` (a piece of some configuration), ``nova.conf`` (one that
    its commands are to use) and ``command``.
    """
    folder = (SOURCE / page).parent
    for block in _BLOCK.finditer((SOURCE / page).read_text()):
        if block['kind'] == 'literalinclude':
            text = (folder / block['what']).read_text()
            is_ini = ':language: ini' in block['options']
        else:
            text = textwrap.dedent(block['body']).strip('\n')
            is_ini = block['what'] == 'ini'
        if is_ini:
            captioned = ':caption: nova.conf' in block['options']
            yield 'nova.conf' if captioned else 'ini', text
        elif block['what'] == 'console':
            for command in re.findall(
                    r'(?m)^[$#] ((?:.*\\\n)*.*)$', text):
                yield 'command', command
