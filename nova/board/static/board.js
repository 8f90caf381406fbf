// SPDX-License-Identifier: Apache-2.0
// The page: a snapshot, then each change of it. What comes from outside is
// text and never markup.

const MINUTES = 30;
const LOGGED = 300;
const NEW_FOR = 2500;
// The stream says something every five seconds.
const SILENCE = 15000;

const $ = (id) => document.getElementById(id);
const services = new Map();
const minutes = new Map();
const filters = {text: '', binary: '', state: '', status: '', view: 'table'};

let position = '';
let stream;
let lastSign = 0;
let paused = false;
let held = [];
let dirty = false;

// ---- elements

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// What is not seen may turn a line around: it is written out.
function visible(value) {
  return String(value ?? '').replace(/[\p{C}\p{Zl}\p{Zp}]/gu,
    (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

function stateOf(service) {
  if (service.state === 'down') return 'down';
  if (service.disabled) return 'disabled';
  return service.state ?? 'unknown';
}

function stateText(service) {
  const state = service.forced ? 'forced down' : service.state ?? 'unknown';
  return service.disabled ? `${state}, disabled` : state;
}

function stateCell(service, text) {
  const cell = element('td', {className: 'state', textContent: text});
  cell.dataset.state = stateOf(service);
  return cell;
}

function age(at) {
  if (!at) return '–';
  const seconds = Math.max(0, (Date.now() - at) / 1000);
  for (const [unit, length] of [['d', 86400], ['h', 3600], ['m', 60]]) {
    if (seconds >= length) return `${Math.floor(seconds / length)}${unit}`;
  }
  return `${Math.floor(seconds)}s`;
}

// ---- the two views

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const told = (value) => ({textContent: visible(value), title: visible(value)});
const text = (value) => element('td', told(value));
const name = (value) => element('th', {scope: 'row', ...told(value)});

const table = {
  titles: () => ['Host', 'Binary', 'Zone', 'State', 'Status', 'Reason',
    'Last event', 'Age'],
  // Those that are down come first, then those that are disabled.
  rows: (chosen) => chosen.sort((a, b) => compare(a.key, b.key)),
  isNew: (service) => Date.now() - service.changed < NEW_FOR,
  cells: (service) => [
    name(service.host),
    text(service.binary),
    text(service.zone),
    stateCell(service, service.forced ? 'forced down' : service.state ?? 'unknown'),
    text(service.disabled ? 'disabled' : 'enabled'),
    text(service.reason),
    text(service.event ?? '–'),
    element('td', {className: 'number', textContent: age(service.at)}),
  ],
};

const grid = {
  binaries: [],
  titles: () => ['Host', ...grid.binaries],
  rows(chosen) {
    const hosts = new Map();
    const binaries = new Set();
    for (const service of chosen) {
      binaries.add(service.binary);
      const row = hosts.get(service.host);
      if (row) row.push(service);
      else hosts.set(service.host, [service]);
    }
    grid.binaries = [...binaries].sort(compare);
    return [...hosts.values()].sort((a, b) => compare(a[0].host, b[0].host));
  },
  isNew: (row) => row.some(table.isNew),
  cells: (row) => [
    name(row[0].host),
    ...grid.binaries.map((binary) => {
      const service = row.find((one) => one.binary === binary);
      return service ? stateCell(service, stateText(service)) : text('');
    }),
  ],
};

// ---- a table that holds only the rows that are seen

const viewport = $('services');
const [head, body] = [viewport.querySelector('thead'), viewport.querySelector('tbody')];
let rows = [];

function paintRows() {
  const view = filters.view === 'grid' ? grid : table;
  const height = parseFloat(getComputedStyle(viewport).fontSize) * 2;
  const first = Math.max(0, Math.floor(viewport.scrollTop / height) - 8);
  const last = Math.min(rows.length, first + Math.ceil(viewport.clientHeight / height) + 16);
  const space = (number) => {
    const cell = element('td', {colSpan: view.titles().length});
    cell.style.height = `${number * height}px`;
    const row = element('tr', {className: 'space'}, cell);
    row.setAttribute('aria-hidden', 'true');
    return row;
  };
  const seen = rows.slice(first, last).map((row, index) => {
    const made = element('tr', {className: view.isNew(row) ? 'new' : ''}, ...view.cells(row));
    made.setAttribute('aria-rowindex', first + index + 2);
    return made;
  });
  body.replaceChildren(
    ...(first ? [space(first)] : []), ...seen,
    ...(last < rows.length ? [space(rows.length - last)] : []));
}

function paintHead() {
  const titles = (filters.view === 'grid' ? grid : table).titles();
  const shown = [...head.querySelectorAll('th')].map((cell) => cell.textContent);
  if (titles.map(visible).join('\n') === shown.join('\n')) return;
  const row = element('tr', {}, ...titles.map(
    (title) => element('th', {scope: 'col', textContent: visible(title)})));
  row.setAttribute('aria-rowindex', 1);
  head.replaceChildren(row);
}

function matches(service) {
  return (!filters.binary || service.binary === filters.binary)
    && (!filters.state || service.state === filters.state)
    && (!filters.status || service.disabled === (filters.status === 'disabled'))
    && (!filters.text || service.words.includes(filters.text.toLowerCase()));
}

function paint() {
  dirty = false;
  const all = [...services.values()];
  const chosen = all.filter(matches);
  rows = (filters.view === 'grid' ? grid : table).rows(chosen);
  viewport.querySelector('table').setAttribute('aria-rowcount', rows.length + 1);
  paintHead();
  paintRows();
  $('empty').hidden = rows.length > 0;
  $('count-all').textContent = all.length;
  $('count-down').textContent = all.filter((one) => one.state === 'down').length;
  $('count-disabled').textContent = all.filter((one) => one.disabled).length;
  $('shown').textContent = chosen.length === all.length ? '' : `${chosen.length} of ${all.length} shown`;
  paintBinaries(all);
}

function paintBinaries(all) {
  const names = [...new Set(all.map((one) => one.binary ?? ''))].sort(compare);
  const select = $('binary');
  const known = [...select.options].slice(1).map((option) => option.value);
  if (names.join('\n') === known.join('\n')) return;
  select.replaceChildren(select.options[0], ...names.map(
    (name) => element('option', {value: name, textContent: name})));
  select.value = filters.binary;
}

function touch() {
  if (!dirty) {
    dirty = true;
    requestAnimationFrame(paint);
  }
}

// ---- what comes

function put([uuid, host, binary, zone, state, disabled, reason, forced, event, at]) {
  const known = services.get(uuid);
  const order = `${state === 'down' ? 0 : 1}${disabled ? 0 : 1}`;
  services.set(uuid, {
    host, binary, zone, state, disabled, reason, forced,
    event: event ?? known?.event,
    at: at ? Date.parse(at) : known?.at,
    changed: known?.changed ?? 0,
    key: `${order}${host}\0${binary}`,
    words: [host, zone, reason].join('\n').toLowerCase(),
  });
}

function timeOf(notification) {
  return Date.parse(`${notification.timestamp.replace(' ', 'T')}Z`);
}

function note(notification, isNew) {
  const at = timeOf(notification);
  const minute = Math.floor(at / 60000);
  minutes.set(minute, (minutes.get(minute) ?? 0) + 1);
  const data = notification.payload['nova_object.data'];
  const service = services.get(data.uuid);
  if (service && isNew) {
    Object.assign(service, {event: notification.event_type, at, changed: Date.now()});
    setTimeout(touch, NEW_FOR);
  }
  const facts = [data.disabled ? 'disabled' : 'enabled'];
  if (data.forced_down) facts.push('forced down');
  if (data.disabled_reason) facts.push(data.disabled_reason);
  const button = element('button', {type: 'button'},
    element('time', {
      dateTime: new Date(at).toISOString(),
      textContent: new Date(at).toLocaleTimeString(),
    }), ' ',
    element('span', {className: 'kind', textContent: notification.event_type}),
    visible(` ${data.binary} on ${data.host}: ${facts.join(', ')}`));
  button.addEventListener('click', () => {
    $('json').textContent = JSON.stringify(notification, null, 2)
      .split('\n').map(visible).join('\n');
    $('raw').showModal();
  });
  log(button);
}

function log(content) {
  const item = element('li', {}, content);
  if (paused) {
    held.push(item);
    held = held.slice(-LOGGED);
    $('pause').textContent = `Resume (${held.length})`;
    return;
  }
  const list = $('log');
  list.prepend(item);
  while (list.childElementCount > LOGGED) list.lastElementChild.remove();
}

function paintSparkline() {
  const now = Math.floor(Date.now() / 60000);
  for (const minute of minutes.keys()) {
    if (minute <= now - MINUTES) minutes.delete(minute);
  }
  const values = Array.from({length: MINUTES}, (_, index) => minutes.get(now - MINUTES + 1 + index) ?? 0);
  const top = Math.max(1, ...values);
  $('rate').textContent = values.at(-1);
  $('sparkline').setAttribute('aria-label',
    `Events a minute, last half hour: ${values.at(-1)} in this minute, ${Math.max(...values)} at most`);
  $('sparkline').replaceChildren(...values.map((value, index) => {
    const bar = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
    const height = value ? Math.max(2, 27 * value / top) : 1;
    const box = {x: index * 4, y: 28 - height, width: 3, height};
    for (const [name, number] of Object.entries(box)) bar.setAttribute(name, number);
    return bar;
  }));
}

// ---- the connection

function connection(state, words) {
  const shown = $('connection');
  if (shown.textContent === words) return;
  shown.dataset.state = state;
  shown.textContent = words;
}

function lost() {
  connection('lost', 'Connection lost: what you see may be old. Trying again …');
}

async function load() {
  stream?.close();
  try {
    const answer = await fetch('services');
    if (!answer.ok) throw new Error(answer.statusText);
    const snapshot = await answer.json();
    services.clear();
    snapshot.services.forEach(put);
    position = snapshot.position;
    minutes.clear();
    if (!paused) {
      $('log').replaceChildren();
      snapshot.notifications.forEach((notification) => note(notification, false));
    }
    paintSparkline();
    touch();
    follow();
  } catch {
    lost();
    setTimeout(load, 1000);
  }
}

function follow() {
  stream = new EventSource(`events?since=${encodeURIComponent(position)}`);
  const on = (kind, act) => stream.addEventListener(kind, (message) => {
    lastSign = Date.now();
    if (message.lastEventId) position = message.lastEventId;
    act(JSON.parse(message.data));
  });
  on('service', (row) => { put(row); touch(); });
  on('removed', (uuid) => { services.delete(uuid); touch(); });
  on('notification', (notification) => { note(notification, true); touch(); paintSparkline(); });
  on('drift', (words) => log(element('p', {
    className: 'drift', textContent: visible(`No event has told that ${words}`)})));
  on('trouble', (words) => {
    if (words) connection('lost', visible(`Not current: ${words}`));
    else connection('live', 'Live');
  });
  on('reset', load);
  stream.addEventListener('error', () => {
    lost();
    if (stream.readyState === EventSource.CLOSED) setTimeout(load, 2000);
  });
}

// ---- what a user does

function remember() {
  const chosen = Object.entries(filters).filter(
    ([name, value]) => value && !(name === 'view' && value === 'table'));
  history.replaceState(null, '', `#${new URLSearchParams(chosen)}`);
}

function recall() {
  const chosen = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(filters)) {
    filters[name] = chosen.get(name) ?? (name === 'view' ? 'table' : '');
    if (name !== 'view') $(name).value = filters[name];
  }
  show(filters.view);
}

function show(view) {
  filters.view = view;
  $('view-table').setAttribute('aria-pressed', view !== 'grid');
  $('view-grid').setAttribute('aria-pressed', view === 'grid');
  viewport.scrollTop = 0;
  touch();
}

for (const name of ['text', 'binary', 'state', 'status']) {
  $(name).addEventListener('input', (event) => {
    filters[name] = event.target.value;
    viewport.scrollTop = 0;
    remember();
    touch();
  });
}
for (const view of ['table', 'grid']) {
  $(`view-${view}`).addEventListener('click', () => { show(view); remember(); });
}
$('filters').addEventListener('submit', (event) => event.preventDefault());
$('pause').addEventListener('click', () => {
  paused = !paused;
  $('pause').setAttribute('aria-pressed', paused);
  $('pause').textContent = paused ? 'Resume (0)' : 'Pause';
  if (!paused) held.splice(0).forEach((item) => log(item.firstChild));
});
$('close').addEventListener('click', () => $('raw').close());
viewport.addEventListener('scroll', () => requestAnimationFrame(paintRows));
addEventListener('resize', touch);
addEventListener('hashchange', recall);
setInterval(() => {
  paintRows();
  paintSparkline();
  if (lastSign && Date.now() - lastSign > SILENCE) lost();
}, 1000);

recall();
paintSparkline();
load();
