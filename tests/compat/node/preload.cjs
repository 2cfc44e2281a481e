'use strict';
// Puts bide's functions in the place of Node's fs/promises, before the test begins.

const { syncBuiltinESMExports } = require('node:module');
const nodeFs = require('node:fs/promises');
const bide = require('../../..');

for (const name of Object.keys(nodeFs)) nodeFs[name] = bide.fs[name];
syncBuiltinESMExports();
