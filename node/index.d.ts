/// <reference types="node" />
import type { ResourceLimits } from 'node:worker_threads';
import * as fs from './fs.js';

/** The version of bide's core. */
export const version: string;
/** What the loop of this thread waits on. */
export const backend: 'io_uring' | 'epoll';
/** Why, in a sentence; it names the errno where a ring was refused. */
export const backendReason: string;

/** `fs/promises`, some of it through bide's loop; the module `bide/fs` is the same. */
export { fs };

/** The name of a job that runs without JS; only `native` has them. */
declare class NativeJob<A extends unknown[], R> {
  private constructor();
  readonly name: string;
  /** Only in the types: what the job takes and gives. */
  private readonly signature: (...args: A) => R;
}
export type { NativeJob };

export interface TreeChecksum {
  files: number;
  folders: number;
  bytes: number;
  /** CRC-32, as zlib has it, over the files' contents in the order of their names' bytes. */
  crc32: number;
}

export interface TreeFile {
  path: string;
  bytes: number;
  mtimeMs: number;
}

export interface FileDigest {
  bytes: number;
  digest: Buffer;
}

/** Work for a NativeExecutor. */
export const native: {
  /** Blocks a thread of the pool for so many milliseconds. */
  readonly sleep: NativeJob<[ms: number], undefined>;
  /** Reads a file, or all files of a folder and of those in it. Links are not followed. */
  readonly checksumTree: NativeJob<[path: fs.PathLike], TreeChecksum>;
  /** The files of a folder and of those in it; links are not followed, other things not told. */
  readonly listTree: NativeJob<[path: fs.PathLike], TreeFile[]>;
  /** A digest of bytes; algorithm: one of `crypto.getHashes()`, sha256 if not given. */
  readonly hash: NativeJob<[data: NodeJS.ArrayBufferView, algorithm?: string], Buffer>;
  /** The digest of a file, and how many bytes it has. */
  readonly hashFile: NativeJob<[path: fs.PathLike, algorithm?: string], FileDigest>;
  /** level: from 0 to 9, 6 if not given. */
  readonly gzip: NativeJob<[data: NodeJS.ArrayBufferView, level?: number], Buffer>;
  /** bytesMax: what may come of it, 2 ** 31 - 1 if not given; more is EFBIG. */
  readonly gunzip: NativeJob<[data: NodeJS.ArrayBufferView, bytesMax?: number], Buffer>;
};

/**
 * A function for a worker thread. A function proper is sent as its source: it sees its
 * arguments, the globals and `require` (from the working directory), nothing else of the place
 * where it was written. By its module it is imported in the worker; a module is a URL, an
 * absolute path, or a `node:` name.
 */
export type WorkerFunction<A extends unknown[], R> =
  | ((...args: A) => R)
  | { module: string | URL; name?: string };

export interface ExecutorOptions {
  /** Threads at most; they start as work comes. The processors available, if not given. */
  threads?: number;
  /** Tasks that may wait while all threads are busy; no bound, if not given. */
  queueMax?: number;
}

export interface RunOptions {
  /** Drops a task that has not started. One that runs goes on, its result is dropped. */
  signal?: AbortSignal;
}

declare class Executor implements AsyncDisposable {
  protected constructor(options?: ExecutorOptions);
  /** Threads at most. */
  readonly size: number;
  readonly queueMax: number;
  /** Tasks that have not ended. */
  readonly pending: number;
  /** Takes no more tasks, waits for those it has, ends the threads. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface WorkerExecutorOptions extends ExecutorOptions {
  /** Of the threads. */
  name?: string;
  /** Of each thread; one that goes beyond ends, and with it the task that it ran. */
  resourceLimits?: ResourceLimits;
}

/** JS functions in worker threads: one at a time in each, in the order of the calls. */
export class WorkerExecutor extends Executor {
  constructor(options?: WorkerExecutorOptions);
  run<A extends unknown[], R>(
    fn: WorkerFunction<A, R>,
    args?: A,
    options?: RunOptions,
  ): Promise<Awaited<R>>;
}

/** The jobs of `native` on threads of the core's that run no JS. */
export class NativeExecutor extends Executor {
  constructor(options?: ExecutorOptions);
  run<A extends unknown[], R>(job: NativeJob<A, R>, args?: A, options?: RunOptions): Promise<R>;
}

/**
 * Runs fn(...args) on another thread. `null` for the default executor of the kind that fn
 * needs. Arguments and results are copied by structured clone; see `move`. An error thrown
 * there comes back with its stack, name and properties.
 */
export function runInExecutor<A extends unknown[], R>(
  executor: NativeExecutor | null | undefined,
  job: NativeJob<A, R>,
  ...args: A
): Promise<R>;
export function runInExecutor<A extends unknown[], R>(
  executor: WorkerExecutor | null | undefined,
  fn: (...args: A) => R,
  ...args: A
): Promise<Awaited<R>>;
export function runInExecutor(
  executor: WorkerExecutor | null | undefined,
  fn: { module: string | URL; name?: string },
  ...args: unknown[]
): Promise<any>;

/**
 * An argument or a result whose memory goes to the other thread instead of being copied: what
 * is on the list, or the buffer itself, is gone here once it is sent.
 */
export function move<T>(value: T, list?: readonly object[]): T;

export interface SleepOptions {
  signal?: AbortSignal;
  /** Whether it keeps the process alive, which it does if not given. */
  ref?: boolean;
}

/** Resolves in so many milliseconds, never early; a fraction counts, down to microseconds. */
export function sleep(ms: number, options?: SleepOptions): Promise<void>;

/** A promise, or what begins one and gives up when the signal aborts. */
export type Work<T> = PromiseLike<T> | ((signal: AbortSignal) => T | PromiseLike<T>);

/** The result of the work, or an error ETIMEDOUT, at which the signal of the work aborts. */
export function timeout<T>(
  ms: number,
  work: Work<T>,
  options?: { signal?: AbortSignal },
): Promise<Awaited<T>>;

/** The first to settle; then the signal of the others aborts. They are not waited for. */
export function race<T>(
  works: Iterable<Work<T>>,
  options?: { signal?: AbortSignal },
): Promise<Awaited<T>>;

/** All results, or the first error, at which the signal of the others aborts. */
export function all<T>(
  works: Iterable<Work<T>>,
  options?: { signal?: AbortSignal },
): Promise<Awaited<T>[]>;
