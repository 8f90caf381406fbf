# SPDX-License-Identifier: Apache-2.0
"""Write the lowest version of each requirement, as constraints of pip."""

import pathlib
import re
import sys

FILES = ('requirements.txt', 'test-requirements.txt')


def lowest() -> list[str]:
    """Return a constraint for each requirement."""
    root = pathlib.Path(__file__).parents[1]
    found = [re.match(r'([\w.-]+)(?:\[\w+\])?>=([\w.]+),', line)
             for name in FILES for line in (root / name).open()
             if not line.startswith('#')]
    return [f'{match[1]}=={match[2]}' for match in found]


if __name__ == '__main__':
    pathlib.Path(sys.argv[1]).write_text('\n'.join(lowest()))
