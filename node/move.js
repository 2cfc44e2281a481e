'use strict';
// move(value, list): this argument, or this result, goes to the other thread with the
// memory of what is on the list, which then is gone here, instead of being copied.

const mark = Symbol.for('bide.move');

function isTransferable(value) {
  return (
    value instanceof ArrayBuffer ||
    (typeof value === 'object' && value !== null && 'postMessage' in value)
  );
}

function move(value, list) {
  if (list === undefined) {
    const own = ArrayBuffer.isView(value) ? value.buffer : value;
    if (!isTransferable(own)) {
      throw new TypeError(
        'bide.move(value) takes a buffer or a port; name what else is to be moved ' +
          'in a list: bide.move(value, [...])',
      );
    }
    list = [own];
  }
  return { [mark]: true, value, list: [...list] };
}

const isMoved = (value) => typeof value === 'object' && value !== null && value[mark] === true;

module.exports = { move, isMoved };
