'use strict';
// How many requests of one kind the core has at once. More than it can use only cost memory
// and descriptors: the rest waits here, where a request is as small as its promise, so that
// a hundred thousand calls in a row end neither in EMFILE nor in half a gigabyte.

class Flow {
  #max;
  #started = 0;
  #waiting = []; // from #next on
  #next = 0;

  constructor(max) {
    this.#max = max;
  }

  get isFull() {
    return this.#started >= this.#max;
  }

  // Counts one that starts by itself. False where it has to enter() and wait.
  begin() {
    if (this.#started >= this.#max) return false;
    this.#started++;
    return true;
  }

  // request.start() is called at once or when another has left. One that has `aborted` by
  // then is passed by.
  enter(request) {
    if (this.begin()) request.start();
    else this.#waiting.push(request);
  }

  // A request that was started has ended.
  leave() {
    this.#started--;
    while (this.#next < this.#waiting.length && this.#started < this.#max) {
      const request = this.#waiting[this.#next];
      this.#waiting[this.#next++] = undefined;
      if (request.aborted) continue;
      this.#started++;
      request.start();
    }
    if (this.#next > 0 && this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
    }
  }
}

module.exports = { Flow };
