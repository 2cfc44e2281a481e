'use strict';
// Node's own FileHandle, which has no public name: what bide's extends, so that whatever
// takes the one takes the other, and streams, transfers to workers and the report of a
// handle that nobody closed are those of the Node at hand.
//
// All of it is learned from a handle that Node opened: its class, the class of the object in
// it that owns the descriptor, and the methods by which Node counts the calls under way.

const { open } = require('node:fs/promises');
const { native } = require('./native.js');

function symbolOf(object, description) {
  return Object.getOwnPropertySymbols(object).find(
    (symbol) => symbol.description === description,
  );
}

function learnFrom(handle) {
  const prototype = Object.getPrototypeOf(handle);
  const owner = handle[symbolOf(handle, 'kHandle')];
  const found = {
    prototype,
    FileHandle: prototype.constructor,
    Owner: owner?.constructor,
    ref: symbolOf(prototype, 'kRef'),
    unref: symbolOf(prototype, 'kUnref'),
  };
  const complete =
    Object.values(found).every((each) => each !== undefined) &&
    typeof owner.releaseFD === 'function';
  // A Node without these has its own functions alone, which then open() is.
  return complete ? found : undefined;
}

let learning;

// Any file does. That of the addon is one which it finds again, should the thread end
// before Node has it.
function openAny() {
  return open(native.samplePath()).catch(() => open('/dev/null'));
}

async function learn() {
  const handle = await openAny();
  try {
    return learnFrom(handle);
  } finally {
    await handle.close();
  }
}

// A promise at the first call.
function learnOnce() {
  learning ??= learn();
  return learning;
}

module.exports = { learnOnce };
