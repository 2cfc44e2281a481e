import bide from './index.js';

export default bide;
export const {
  version,
  backend,
  backendReason,
  fs,
  runInExecutor,
  WorkerExecutor,
  NativeExecutor,
  native,
  move,
  sleep,
  timeout,
  race,
  all,
} = bide;
