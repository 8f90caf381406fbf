// SPDX-License-Identifier: Apache-2.0
// Print as JSON what the parser says of the document on stdin.

import { text } from 'node:stream/consumers';

import { Parser } from '@asyncapi/parser';

const { document, diagnostics } = await new Parser().parse(
    await text(process.stdin));
console.log(JSON.stringify({
    channels: document?.channels().all().map((channel) => channel.address()),
    problems: diagnostics.filter(({ severity }) => severity < 2).map(
        ({ message, path }) => `${path.join('.')}: ${message}`),
}));
