'use strict';
// How a function of JS's gets to a worker thread: as its source, or as a module and a name.
// Each gets a number, by which the threads know it once they were sent its definition.

const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { codedError } = require('./errors.js');

const numbers = new Map(); // of functions by module: by URL, then by name
const numbersOfFunctions = new WeakMap(); // of functions by themselves
// By name and source: a closure that is made anew for each call is the same to a thread,
// which keeps what it compiled for as long as it lives.
const numbersOfSources = new Map();
let lastNumber = 0;

function sourceOf(fn) {
  const text = Function.prototype.toString.call(fn);
  if (/\{\s*\[native code\]\s*\}$/.test(text)) {
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_VALUE',
      `bide cannot send the built-in or bound function "${fn.name}" to a worker; ` +
        'name it instead: { module: new URL(...), name: "..." }',
    );
  }
  // A method's shorthand is no expression by itself.
  try {
    new Function(`return (${text}\n);`);
    return text;
  } catch {
    return `({ ${text} })[${JSON.stringify(fn.name)}]`;
  }
}

function urlOf(module) {
  if (module instanceof URL) return module.href;
  if (typeof module === 'string' && path.isAbsolute(module)) return pathToFileURL(module).href;
  if (typeof module === 'string' && /^(file|node|data):/.test(module)) return module;
  throw codedError(
    TypeError,
    'ERR_INVALID_ARG_VALUE',
    'A function by its module needs the module as a URL or an absolute path, such as ' +
      `new URL('./work.mjs', import.meta.url). Received ${String(module)}`,
  );
}

function definitionOfFunction(fn) {
  let known = numbersOfFunctions.get(fn);
  if (known !== undefined) return known;
  const key = `${fn.name}\n${Function.prototype.toString.call(fn)}`;
  known = numbersOfSources.get(key);
  if (known === undefined) {
    known = { id: ++lastNumber, text: sourceOf(fn), name: fn.name };
    numbersOfSources.set(key, known);
  }
  numbersOfFunctions.set(fn, known);
  return known;
}

function definitionOf(fn) {
  if (typeof fn === 'function') return definitionOfFunction(fn);
  if (fn === null || typeof fn !== 'object' || !('module' in fn)) {
    throw codedError(
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      'The "fn" argument must be a function, { module, name } or a job of bide.native',
    );
  }
  const { module, name = 'default' } = fn;
  const url = urlOf(module);
  let byName = numbers.get(url);
  if (byName === undefined) numbers.set(url, (byName = new Map()));
  let known = byName.get(name);
  if (known === undefined) {
    known = { id: ++lastNumber, url, name };
    byName.set(name, known);
  }
  return known;
}

module.exports = { definitionOf };
