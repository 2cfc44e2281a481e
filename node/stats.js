'use strict';
// fs.Stats and its BigInt twin, made from the numbers that the addon leaves in a slot's
// memory: ten integers, then seconds and nanoseconds of four times.

const fs = require('node:fs');

// The prototypes are Node's own: isFile() and its like, and instanceof, come with them. The
// second has no public name.
const statsPrototype = Object.getPrototypeOf(fs.statSync('/'));
const bigIntPrototype = Object.getPrototypeOf(fs.statSync('/', { bigint: true }));

// Since Node 22 the dates are accessors of the prototype, made when somebody looks.
const datesAreLazy = Object.hasOwn(statsPrototype, 'atime');

// Newer ones keep the nanoseconds beyond the milliseconds under symbols: of the access, the
// modification, the change and the birth.
const nanosecondKeys = Object.getOwnPropertySymbols(fs.statSync('/'));

function setDates(stats) {
  if (datesAreLazy) return;
  stats.atime = new Date(Math.round(Number(stats.atimeMs)));
  stats.mtime = new Date(Math.round(Number(stats.mtimeMs)));
  stats.ctime = new Date(Math.round(Number(stats.ctimeMs)));
  stats.birthtime = new Date(Math.round(Number(stats.birthtimeMs)));
}

function setIntegers(stats, values, at) {
  stats.dev = values[at];
  stats.mode = values[at + 1];
  stats.nlink = values[at + 2];
  stats.uid = values[at + 3];
  stats.gid = values[at + 4];
  stats.rdev = values[at + 5];
  stats.blksize = values[at + 6];
  stats.ino = values[at + 7];
  stats.size = values[at + 8];
  stats.blocks = values[at + 9];
}

function Stats(doubles, at) {
  setIntegers(this, doubles, at);
  this.atimeMs = doubles[at + 10] * 1e3 + doubles[at + 11] / 1e6;
  this.mtimeMs = doubles[at + 12] * 1e3 + doubles[at + 13] / 1e6;
  this.ctimeMs = doubles[at + 14] * 1e3 + doubles[at + 15] / 1e6;
  this.birthtimeMs = doubles[at + 16] * 1e3 + doubles[at + 17] / 1e6;
  for (let i = 0; i < nanosecondKeys.length; i++) {
    this[nanosecondKeys[i]] = doubles[at + 11 + 2 * i];
  }
  setDates(this);
}
Stats.prototype = statsPrototype;

function BigIntStats(integers, at) {
  setIntegers(this, integers, at);
  const ns = (i) => integers[at + i] * 1_000_000_000n + integers[at + i + 1];
  const [atime, mtime, ctime, birthtime] = [ns(10), ns(12), ns(14), ns(16)];
  this.atimeMs = atime / 1_000_000n;
  this.mtimeMs = mtime / 1_000_000n;
  this.ctimeMs = ctime / 1_000_000n;
  this.birthtimeMs = birthtime / 1_000_000n;
  this.atimeNs = atime;
  this.mtimeNs = mtime;
  this.ctimeNs = ctime;
  this.birthtimeNs = birthtime;
  setDates(this);
}
BigIntStats.prototype = bigIntPrototype;

module.exports = { Stats, BigIntStats };
