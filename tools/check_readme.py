# SPDX-License-Identifier: Apache-2.0
"""Run the two commands of the README on new Debian systems.

debootstrap installs each release with python3-venv, git and nothing else
into a folder. An ordinary user pastes the commands there, in a clone of this
checkout. The network, the mirror of apt and the index of pip are those of
this machine.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterable, Iterator
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]

PACKAGES = 'python3-venv,git,ca-certificates'

#: what the first command shows when it has worked, and what the second
EXPECTED = {'tour': '6 changes, 6 notifications', 'tests': 'congratulations'}

AS_ROOT = [] if os.geteuid() == 0 else ['sudo']

# Mounts and processes of these namespaces end with the first process.
ISOLATED = ['unshare', '--mount', '--propagation', 'private', '--pid',
            '--fork', '--kill-child', '--mount-proc']

# enter ROOT PATH... -- COMMAND...: run a command with ROOT as its root, and
# with some files and folders of this machine at the same place
ENTER = '''\
set -eu
root=$1
shift
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,gid=5 devpts "$root/dev/pts"
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then
        mkdir -p "$root$1"
    else
        mkdir -p "$(dirname "$root$1")"
        touch "$root$1"
    fi
    mount --bind -o ro "$1" "$root$1"
    shift
done
shift
exec chroot "$root" "$@"
'''

USER = ('setpriv', '--reuid=reader', '--regid=reader', '--init-groups',
        'env', '-i', 'HOME=/home/reader', 'USER=reader', 'LOGNAME=reader',
        'PATH=/usr/local/bin:/usr/bin:/bin')


def main() -> None:
    arguments = parse_arguments()
    for program in ('debootstrap', 'unshare', 'setpriv'):
        if not shutil.which(program, path=f'{os.environ["PATH"]}:/usr/sbin'):
            sys.exit(f'{program} is missing: install the Debian package '
                     'debootstrap or util-linux')
    # Else it would end without cleaning up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    commands = readme_commands()
    with tempfile.TemporaryDirectory(prefix='nova-readme-') as name:
        folder = pathlib.Path(name)
        run('git', 'clone', '-q', '--no-local', ROOT, folder / 'clone')
        for release in arguments.releases:
            root = folder / release
            try:
                install(release, root, folder / 'clone')
                check(release, root, commands['tour'], EXPECTED['tour'])
                if release in arguments.tests:
                    check(release, root, commands['tests'], EXPECTED['tests'])
            finally:
                run(*AS_ROOT, 'rm', '-rf', '--one-file-system', root)
    print('the commands of the README work on', *arguments.releases)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('releases', nargs='*', metavar='RELEASE',
                        default=['bookworm', 'trixie'],
                        help='code name of a Debian release (default: '
                        'bookworm trixie)')
    parser.add_argument('--tests', action='append', metavar='RELEASE',
                        default=[], help='one of them on which the second '
                        'command, which takes minutes, runs as well')
    return parser.parse_args()


def readme_commands() -> dict[str, str]:
    """Return the two commands of the README, by the keys of EXPECTED."""
    found = re.findall(r'(?m)^    (\S.*\btox\b.*)$',
                       (ROOT / 'README.rst').read_text())
    if len(found) != len(EXPECTED):
        sys.exit(f'README.rst should have two commands with tox: {found}')
    return dict(zip(EXPECTED, found, strict=True))


def install(release: str, root: pathlib.Path, clone: pathlib.Path) -> None:
    """Install a release, with the clone in the home of an ordinary user."""
    run(*AS_ROOT, *ISOLATED, 'debootstrap', '--variant=minbase',
        f'--include={PACKAGES}', release, root, mirror())
    run(*AS_ROOT, 'sh', '-c', 'echo 127.0.0.1 localhost > "$0"',
        root / 'etc' / 'hosts')
    run(*AS_ROOT, 'chroot', root, 'useradd', '--create-home',
        '--shell=/bin/bash', 'reader')
    run(*AS_ROOT, 'cp', '-r', clone, root / 'home' / 'reader' / 'nova')
    run(*AS_ROOT, 'chroot', root, 'chown', '-R', 'reader:', '/home/reader')


def mirror() -> str:
    """Return the address of the Debian mirror that apt uses."""
    listed = subprocess.run(
        ['apt-get', 'indextargets', '--format', '$(REPO_URI)',
         'Created-By: Packages', 'Origin: Debian', 'Label: Debian'],
        check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    if not listed:
        sys.exit('apt knows no mirror of Debian: run apt-get update')
    return listed[0]


def check(release: str, root: pathlib.Path, command: str,
          expected: str) -> None:
    """Paste a command; exit unless it works and shows what is expected."""
    print(f'== {release}: {command}', flush=True)
    settings = dict(pip_settings())
    shown = run(*AS_ROOT, *ISOLATED, 'bash', '-c', ENTER, 'enter', root,
                *local_paths(settings.values()), '--', *USER,
                *(f'{name}={value}' for name, value in settings.items()),
                'bash', '-c', f'cd ~/nova && {command}')
    if expected not in shown:
        sys.exit(f'{release}: {expected!r} was not shown by {command}')


def pip_settings() -> Iterator[tuple[str, str]]:
    """Yield this machine's configuration of pip as PIP_* variables."""
    listed = subprocess.run(
        [sys.executable, '-m', 'pip', 'config', 'list'], check=True,
        stdout=subprocess.PIPE, text=True).stdout
    # The environment wins over files: its lines, ":env:", come last.
    for line in sorted(listed.splitlines(), key=lambda line: line[0] == ':'):
        key, _equals, value = line.partition('=')
        name = key.rpartition('.')[2].replace('-', '_').upper()
        yield f'PIP_{name}', ast.literal_eval(value)


def local_paths(values: Iterable[str]) -> list[str]:
    """Return the files and folders of this machine that pip is to use."""
    # The pages of an index in a folder "simple" link to files beside it.
    paths = {word.removeprefix('file://').removesuffix('/simple')
             for value in values for word in value.split()}
    return sorted(path for path in paths
                  if path.startswith('/') and os.path.exists(path))


def run(*command: object) -> str:
    """Run a command that must succeed; return what it shows."""
    words = list(map(str, command))
    shown = ''
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        for line in process.stdout or ():
            shown += line
            print(line, end='', flush=True)
        code = process.wait()
    finally:
        if process.poll() is None:
            subprocess.run([*AS_ROOT, 'kill', '-KILL', '--',
                            f'-{process.pid}'], check=False)
            process.wait()
    if code:
        sys.exit(f'ended with {code}: … {" ".join(words)[-200:]}')
    return shown


if __name__ == '__main__':
    main()
