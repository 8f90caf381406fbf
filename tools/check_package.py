# SPDX-License-Identifier: Apache-2.0
"""Build sdist and wheel, install the wheel alone, and use it elsewhere.

What a program needs beside its modules (migrations, samples, the files of
the board) has to come with the wheel, which is made from the sdist: nothing
of the source tree can be seen from where it runs.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]

NOVA_CONF = '''\
[DEFAULT]
transport_url = fake:/
[database]
connection = sqlite:///{folder}/nova.sqlite
[notifications]
notification_format = versioned
delivery = outbox
[oslo_messaging_notifications]
driver = messagingv2
'''

DEPLOYED = '''\
[DEFAULT]
osapi_compute_listen_port = 0
osapi_compute_workers = 1
[api]
auth_strategy = noauth2
'''

UNITS = 3


def run(*command: object, folder: pathlib.Path) -> str:
    """Return what a command prints; it has to succeed."""
    print('$', *command, flush=True)
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('PYTHONPATH', 'VIRTUAL_ENV')}
    return subprocess.run(
        list(map(str, command)), cwd=folder, check=True, text=True,
        stdout=subprocess.PIPE, env=environment).stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # Not in the tree: what an earlier build left would get in.
        source = folder / 'source'
        run('git', 'clone', '-q', ROOT, source, folder=folder)
        run(sys.executable, '-m', 'build', '--outdir', folder / 'dist',
            folder=source)
        deploy(source, folder)
        shutil.rmtree(source)
        (wheel,) = (folder / 'dist').glob('*.whl')
        (sdist,) = (folder / 'dist').glob('*.tar.gz')
        print(wheel.name, sdist.name)
        run(sys.executable, '-m', 'venv', folder / 'venv', folder=folder)
        programs = folder / 'venv' / 'bin'
        run(programs / 'pip', 'install', '-q', wheel, folder=folder)
        use(programs, folder)
    print('the package works')


def deploy(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Install as documented, below a root, and run the units' commands."""
    root = folder / 'root'
    run(source / 'etc' / 'install.sh', root, folder=folder)
    units = sorted((root / 'etc' / 'systemd' / 'system').glob('*'))
    conf = folder / 'deployed.conf'
    conf.write_text(NOVA_CONF.format(folder=folder) + DEPLOYED)
    run(root / 'opt/nova/bin/nova-manage', '--config-file', conf, 'db',
        'sync', folder=folder)
    started = []
    for unit in units:
        (command,) = re.findall('(?m)^ExecStart=(.*)', unit.read_text())
        command = command.replace('/opt/nova', f'{root}/opt/nova').replace(
            '/etc/nova/nova.conf', str(conf)).replace('%i', 'nova-conductor')
        print('$', command, flush=True)
        started.append(subprocess.Popen(command.split()))
    time.sleep(10)
    for process in started:
        if process.poll() is not None:
            sys.exit(f'{process.args} has ended')
        process.terminate()
        if process.wait(60):
            sys.exit(f'{process.args} ended with {process.returncode}')
    if len(started) != UNITS:
        sys.exit(f'{len(started)} units')


def use(programs: pathlib.Path, folder: pathlib.Path) -> None:
    """Do the main jobs."""
    conf = folder / 'nova.conf'
    conf.write_text(NOVA_CONF.format(folder=folder))
    for program in sorted(programs.glob('nova-*')):
        run(program, '--help', folder=folder)
    manage = (programs / 'nova-manage', '--config-file', conf)
    run(*manage, 'db', 'sync', folder=folder)
    described = run(*manage, 'notifications', 'schema', '--format',
                    'asyncapi', folder=folder)
    shown = run(programs / 'nova-standalone', '--tour', '--port', '0',
                '--board-port', '0', folder=folder)
    if 'service.update' not in described:
        sys.exit('the AsyncAPI document has no service.update')
    if '6 changes, 6 notifications' not in shown:
        sys.exit(f'the tour went elsewhere:\n{shown}')
    run(programs / 'nova-demo', '--json', folder=folder)


if __name__ == '__main__':
    main()
