'use strict';

const { native } = require('./native.js');
const fs = require('./fs.js');

module.exports = {
  version: native.version,
  backend: native.backend,
  backendReason: native.backendReason,
  fs,
};
