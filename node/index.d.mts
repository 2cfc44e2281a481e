import * as bide from './index.js';

export * from './index.js';
export default bide;
