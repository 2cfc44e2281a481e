#!/usr/bin/env node
'use strict';
// npx bide build: the addon from its source, where no package has it for this machine.

const path = require('node:path');
const { parseArgs } = require('node:util');
const { BuildError, build, isFresh } = require('./build.js');

const usage = 'usage: bide build [--nodedir=PREFIX]   (CC names the compiler)';

function stop(message) {
  console.error(`bide: ${message}`);
  process.exit(1);
}

function given() {
  try {
    return parseArgs({ allowPositionals: true, options: { nodedir: { type: 'string' } } });
  } catch (error) {
    return stop(`${error.message}\n${usage}`);
  }
}

const { values, positionals } = given();
if (positionals.join() !== 'build') stop(usage);
const target = path.join(path.dirname(__dirname), 'build', 'bide.node');
const nodedir = values.nodedir ?? process.env.npm_config_nodedir;
try {
  if (!isFresh(target)) {
    build({ target, nodedir });
    console.log(`built ${path.relative(process.cwd(), target)}`);
  }
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  stop(error.message);
}
