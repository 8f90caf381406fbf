# SPDX-License-Identifier: Apache-2.0
"""The commands and settings of the documentation, page by page, for real.

What a page says is done in its order, in one shell, beside RabbitMQ and a
nova-api. Names and addresses that stand for the reader's are replaced, and
what does not end by itself is left running until the end of the page.
"""

from __future__ import annotations

import configparser
import os
import pathlib
import re
import subprocess
import sys

import fixtures
from oslo_config import generator
from oslotest import base

from nova.tests.fixtures import processes
from nova.tests.fixtures import servers
from nova.tests.functional_docs import pages

#: installs or tests the project itself, which others do (see .ci/run)
_DONE = re.compile(r'python3 -m venv|(\S+/)?pip install|(\S+=\S+ )?tox |'
                   r'etc/install.sh|systemctl ')

_RUNS_ON = re.compile(r'(nova-(api|relay|service|standalone|watch)\b'
                      r'(?!.*--(tour|once))|uwsgi |python3 doc/examples/)')

_PRELUDE = '''\
set -eu
curl() { command curl --silent --show-error --retry 30 --retry-delay 1 \
--retry-connrefused "$@"; }
start() {
    log=$(mktemp "$PWD/log.XXXX")
    "$@" > "$log" 2>&1 &
    started+=("$!:$log:$*")
    for _ in $(seq 300); do
        kill -0 "$!" 2>/dev/null || break
        if grep -qE 'Listening at|Ctrl-C ends|board  http|spawned uWSGI' \
"$log"; then return; fi
        case "$*" in *nova-api*|*nova-standalone*|*uwsgi*) ;;
        *) sleep 4; return ;; esac
        sleep 0.1
    done
}
started=()
'''

_END = '''
set +e
failed=0
for each in "${started[@]}"; do
    IFS=: read -r pid log command <<< "$each"
    kill -0 "$pid" 2>/dev/null || { failed=1; echo "ENDED: $command"; }
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    echo "== $command"
    cat "$log"
done
exit $failed
'''


class PageTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.rabbit = self.useFixture(servers.RabbitMQ())
        self.vhost = self.rabbit.url.rpartition('/')[2]
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.api = self.useFixture(processes.NovaAPI({
            'DEFAULT': {'transport_url': self.rabbit.url},
            'notifications': {'notification_format': 'versioned'},
            'oslo_messaging_notifications': {'driver': 'messagingv2'}}))
        self.api.add_services(('h1', 'nova-compute'), ('h2', 'nova-compute'))
        self.prepare()

    def prepare(self):
        """Make the reader's directory."""
        self.ports = [servers.free_port() for _port in range(3)]
        home = self.folder / '.nova'
        home.mkdir()
        self.conf = self.folder / 'nova.conf'
        self.conf.write_text(
            f'{self.api.conf.read_text()}\n[DEFAULT]\n'
            f'osapi_compute_listen_port = {self.ports[0]}\n')
        (home / 'nova.conf').symlink_to(self.conf)
        (self.folder / 'doc').symlink_to(pages.ROOT / 'doc')
        (self.folder / '.venv' / 'bin').mkdir(parents=True)
        (self.folder / '.venv' / 'bin' / 'activate').touch()
        (self.folder / 'clouds.yaml').write_text(
            'clouds: {mycloud: {auth_type: none, auth: '
            f'{{endpoint: "{self.api.url}/v2.1"}}}}}}')
        programs = self.folder / 'bin'
        programs.mkdir()
        control = programs / 'rabbitmqctl'
        node = self.rabbit._node
        control.write_text(
            f'#!{sys.executable}\nimport subprocess, sys\n'
            'from nova.tests.fixtures import servers\n'
            f'sys.exit(subprocess.run([{str(node.control_program)!r}, '
            f'*sys.argv[1:]], env={{**{dict(os.environ)!r}, '
            f'**{node.environment!r}}}, cwd="/", '
            '**servers._as("rabbitmq")).returncode)\n')
        control.chmod(0o755)

    def replaced(self, text, serves):
        """Return a step with what is the reader's replaced."""
        port = self.ports[0] if serves else self.api.url.split(':')[2]
        for pattern, mine in (
                (r'rabbit://[^\s]+', self.rabbit.url),
                (r'sqlite:////var/tmp/nova.sqlite',
                 f'sqlite:///{self.folder}/nova.sqlite'),
                (r'uwsgi --http-socket 127.0.0.1:8774',
                 f'uwsgi --http-socket 127.0.0.1:{self.ports[1]}'),
                (r'127\.0\.0\.1:8774', f'127.0.0.1:{port}'),
                (r'127\.0\.0\.1:8775', f'127.0.0.1:{self.ports[1]}'),
                (r'9469', str(self.ports[2])),
                (r'/etc/nova', str(self.folder)),
                (r'nova-standalone$', 'nova-standalone --port '
                 f'{self.ports[0]} --board-port {self.ports[1]}'),
                (r'nova-standalone --tour', 'nova-standalone --tour --port 0 '
                 '--board-port 0'),
                (r'CONSUMER_PASSWORD=\.\.\. pool_user.sh nova',
                 'CONSUMER_PASSWORD=x bash doc/examples/rabbitmq/pool_user.sh '
                 f'{self.vhost}'),
                (r'rabbitmqctl (\w+) -p nova', r'rabbitmqctl \1'),
                (r'rabbitmqctl (set_p\w+|list_q\w+)',
                 rf'rabbitmqctl \1 -p {self.vhost}')):
            text = re.sub(pattern, mine, text)
        return text

    def run_page(self, page):
        """Do what a page says; return what was printed."""
        steps = list(pages.steps(page))
        serves = any(kind == 'command' and re.match(
            r'nova-(api|standalone)', text) for kind, text in steps)
        script = [_PRELUDE]
        for kind, text in steps:
            step = self.replaced(text, serves)
            if kind == 'nova.conf':
                script.append(f"cat >> nova.conf <<'END'\n\n{step}\nEND\n")
            elif kind == 'command' and not _DONE.match(step):
                script += [f'echo {_quoted("$ " + step)}', self.runnable(step)]
        done = subprocess.run(
            ['bash', '-c', '\n'.join([*script, _END])], cwd=self.folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False, timeout=150, env={
                **{name: value for name, value in os.environ.items()
                   if not name.startswith('OS_')},
                **self.credentials(serves), 'HOME': str(self.folder),
                'PATH': f'{self.folder}/bin:'
                f'{pathlib.Path(sys.executable).parent}:'
                f'{os.environ["PATH"]}'})
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertNotIn('Traceback', done.stdout)
        return done.stdout

    def credentials(self, serves):
        """Return the OS_* that a reader of most pages has set."""
        url = f'http://127.0.0.1:{self.ports[0]}' if serves else self.api.url
        return {'OS_AUTH_TYPE': 'none', 'OS_ENDPOINT': f'{url}/v2.1'}

    @staticmethod
    def runnable(step):
        if _RUNS_ON.match(step):
            step = step.removesuffix(' &')
            return (f'start bash -c {_quoted("exec " + step)}'
                    if '|' not in step else f'start bash -c {_quoted(step)}')
        if step.startswith('nova-status'):
            # Its exit code says what it has found.
            return f'{step} || [ $? -le 2 ]'
        return step


def _quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


class TestPages(PageTestCase):
    """Each page that has commands."""


def _test(page):
    def test(self):
        self.run_page(page)
    return test


for _page in pages.all_pages():
    if any(kind == 'command' and not _DONE.match(text)
           for kind, text in pages.steps(_page)):
        _name = re.sub(r'\W', '_', _page.removesuffix('.rst'))
        setattr(TestPages, f'test_{_name}', _test(_page))


class TestTutorial(PageTestCase):

    def test_what_the_listener_hears(self):
        said = self.run_page('tutorial/rabbitmq.rst')
        self.assertRegex(said, r'waiting +\| 0 ')
        heard = said[said.index('== bash -c exec python3 doc/examples'):
                     said.index('== bash -c exec nova-relay')]
        self.assertEqual(
            ['service.create nova-compute:h1',
             'service.create nova-compute:h2',
             'service.update nova-compute:h1'],
            re.findall(r'(?m)^service\.\w+ nova-compute:\w+', heard))
        self.assertIn('"disabled_reason": "broken"', heard)


class TestExamples(base.BaseTestCase):

    def test_new_notification(self):
        done = subprocess.run(
            [sys.executable, '-m', 'testtools.run',
             'nova.tests.functional_docs.new_notification'],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False)
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertIn('Ran 1 test', done.stdout)


class TestInstallation(base.BaseTestCase):

    def test_pip_is_used_in_virtual_environments_only(self):
        # Debian's own Python refuses to install anything (PEP 668).
        files = [pages.ROOT / 'README.rst', pages.ROOT / 'CONTRIBUTING.rst',
                 *pages.SOURCE.rglob('*.rst')]
        seen = 0
        for file in files:
            text = file.read_text()
            for found in re.finditer(r'(\S*)pip install', text):
                seen += 1
                activated = '. .venv/bin/activate\n' in text[:found.start()]
                self.assertTrue(found[1] or activated, file)
        self.assertGreater(seen, 5)


class TestSettings(base.BaseTestCase):

    def options(self):
        """Return the names of all options, by group."""
        conf = generator.cfg.ConfigOpts()
        generator.register_cli_opts(conf)
        conf(['--config-file', str(
            pages.ROOT / 'etc' / 'nova' / 'nova-config-generator.conf')])
        known = {}
        for _namespace, listed in generator._list_opts(conf.namespace):
            for group, options in listed:
                known.setdefault(str(group or 'DEFAULT'), set()).update(
                    option.dest for option in options)
        return known

    def test_each_option_exists(self):
        known = self.options()
        # Options of plugins, which their own lists leave out.
        known['keystone_authtoken'] |= {
            'auth_url', 'username', 'password', 'project_name',
            'user_domain_name', 'project_domain_name', 'auth_type'}
        others = {'listener', 'resource_plugin', 'watcher_decision_engine'}
        seen = 0
        for page in pages.all_pages():
            for kind, text in pages.steps(page):
                if kind not in ('ini', 'nova.conf') or text.startswith(
                        ('#', 'listeners')):
                    continue
                parser = configparser.ConfigParser(
                    interpolation=None, default_section='none')
                parser.read_string(text)
                for group in set(parser.sections()) - others:
                    for option in parser[group]:
                        seen += 1
                        self.assertIn(option, known.get(group, ()),
                                      f'{page}: [{group}]')
        self.assertGreater(seen, 20)
