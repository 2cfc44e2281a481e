/// <reference types="node" />
import type { EventEmitter } from 'node:events';
import type { BigIntStats, OpenMode, Stats } from 'node:fs';
import type { FileHandle as NodeFileHandle } from 'node:fs/promises';

/** The version of bide's core. */
export const version: string;
/** What the loop of this thread waits on. */
export const backend: 'io_uring' | 'epoll';
/** Why, in a sentence; it names the errno where a ring was refused. */
export const backendReason: string;

/** The part of `fs/promises` that goes through bide's loop, with its errors. */
export namespace fs {
  type Path = string | Uint8Array | URL;

  interface ReadFileOptions {
    encoding?: BufferEncoding | null;
    /** Any but 'r' is carried out by Node. */
    flag?: OpenMode;
    /** Rejects at once with an AbortError; what the kernel still does is nobody's. */
    signal?: AbortSignal;
  }

  /** Reads all of a file. At most 128 are under way, the rest waits: no EMFILE. */
  function readFile(
    path: Path | FileHandle | NodeFileHandle,
    options?: (ReadFileOptions & { encoding?: null }) | null,
  ): Promise<Buffer>;
  function readFile(
    path: Path | FileHandle | NodeFileHandle,
    options: BufferEncoding | (ReadFileOptions & { encoding: BufferEncoding }),
  ): Promise<string>;
  function readFile(
    path: Path | FileHandle | NodeFileHandle,
    options?: ReadFileOptions | BufferEncoding | null,
  ): Promise<string | Buffer>;

  function open(path: Path, flags?: OpenMode, mode?: number | string): Promise<FileHandle>;

  function stat(path: Path, options?: { bigint?: false }): Promise<Stats>;
  function stat(path: Path, options: { bigint: true }): Promise<BigIntStats>;
  /** As stat, but a symbolic link is itself. */
  function lstat(path: Path, options?: { bigint?: false }): Promise<Stats>;
  function lstat(path: Path, options: { bigint: true }): Promise<BigIntStats>;

  interface Position {
    /** Where in the buffer; 0. */
    offset?: number | null;
    /** How many bytes; up to the buffer's end. */
    length?: number | null;
    /** Where in the file; null is the file's own position, which moves. */
    position?: number | bigint | null;
  }

  /** An open file. Close it; one that is collected unclosed warns as Node does. */
  interface FileHandle extends EventEmitter, AsyncDisposable {
    /** -1 once closed. */
    readonly fd: number;
    /**
     * The bytes arrive in memory of bide's and are copied to the buffer at the end: one that
     * was transferred meanwhile is left alone, and the read rejects with ERR_INVALID_STATE.
     */
    read<T extends NodeJS.ArrayBufferView>(
      buffer: T,
      offset?: number | null,
      length?: number | null,
      position?: number | bigint | null,
    ): Promise<{ bytesRead: number; buffer: T }>;
    read<T extends NodeJS.ArrayBufferView>(
      buffer: T,
      options: Position,
    ): Promise<{ bytesRead: number; buffer: T }>;
    read<T extends NodeJS.ArrayBufferView = Buffer>(
      options?: Position & { buffer?: T },
    ): Promise<{ bytesRead: number; buffer: T }>;
    /** The buffer is copied at the call: it may be used again at once. */
    write<T extends NodeJS.ArrayBufferView>(
      buffer: T,
      offset?: number | null,
      length?: number | null,
      position?: number | null,
    ): Promise<{ bytesWritten: number; buffer: T }>;
    write<T extends NodeJS.ArrayBufferView>(
      buffer: T,
      options: Position,
    ): Promise<{ bytesWritten: number; buffer: T }>;
    write(
      text: string,
      position?: number | null,
      encoding?: BufferEncoding | null,
    ): Promise<{ bytesWritten: number; buffer: string }>;
    stat(options?: { bigint?: false }): Promise<Stats>;
    stat(options: { bigint: true }): Promise<BigIntStats>;
    /** Reads from the file's position to its end. */
    readFile(options?: { encoding?: null; signal?: AbortSignal } | null): Promise<Buffer>;
    readFile(
      options: BufferEncoding | { encoding: BufferEncoding; signal?: AbortSignal },
    ): Promise<string>;
    sync(): Promise<void>;
    datasync(): Promise<void>;
    /** Waits for the operations in flight on the handle. */
    close(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
  }
}

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

/** Work for a NativeExecutor. */
export const native: {
  /** Blocks a thread of the pool for so many milliseconds. */
  readonly sleep: NativeJob<[ms: number], undefined>;
  /** Reads a file, or all files of a folder and of those in it. Links are not followed. */
  readonly checksumTree: NativeJob<[path: fs.Path], TreeChecksum>;
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

/** JS functions in worker threads: one at a time in each, in the order of the calls. */
export class WorkerExecutor extends Executor {
  constructor(options?: ExecutorOptions & { /** Of the threads. */ name?: string });
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
