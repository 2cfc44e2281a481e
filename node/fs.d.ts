/// <reference types="node" />
import type { BigIntStats, OpenMode, Stats } from 'node:fs';
import type { FileHandle as NodeFileHandle } from 'node:fs/promises';

/** What is not declared here is Node's own function. */
export * from 'node:fs/promises';

export type PathLike = string | Uint8Array | URL;

export interface Signalled {
  /** Rejects at once with an AbortError; what the kernel still does is nobody's. */
  signal?: AbortSignal;
}

/**
 * An open file: Node's own FileHandle, with the calls of bide in it. `instanceof`, streams and
 * transfers to workers are Node's, and so is the report of a handle that nobody closed.
 */
export interface FileHandle extends NodeFileHandle {
  /**
   * The bytes arrive in memory of bide's and are copied to the buffer at the end, unless it is
   * shared memory: one that was transferred meanwhile is left alone, and the read rejects with
   * ERR_INVALID_STATE.
   */
  read<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<{ bytesRead: number; buffer: T }>;
  read<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    options: Position & { position?: bigint | number | null },
  ): Promise<{ bytesRead: number; buffer: T }>;
  read<T extends NodeJS.ArrayBufferView = Buffer>(
    options?: Position & { buffer?: T; position?: bigint | number | null },
  ): Promise<{ bytesRead: number; buffer: T }>;
  /** The buffer is copied at the call, unless it is shared memory. */
  write<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: T }>;
  write<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    options: Position & { position?: number | null },
  ): Promise<{ bytesWritten: number; buffer: T }>;
  write(
    text: string,
    position?: number | null,
    encoding?: BufferEncoding | null,
  ): Promise<{ bytesWritten: number; buffer: string }>;
}

export interface Position extends Signalled {
  /** Where in the buffer; 0. */
  offset?: number | null;
  /** How many bytes; up to the buffer's end. */
  length?: number | null;
}

export interface ReadFileOptions extends Signalled {
  encoding?: BufferEncoding | null;
  /** Any but 'r' is carried out by Node. */
  flag?: OpenMode;
  /**
   * Where the contents go, or a function that gives it for a size (0: unknown); the result is
   * the part that was filled. A file that does not fit is an error.
   */
  buffer?: NodeJS.ArrayBufferView | ((size: number) => NodeJS.ArrayBufferView);
}

/** Reads all of a file. At most 128 are under way, the rest waits: no EMFILE. */
export function readFile(
  path: PathLike | FileHandle,
  options?: (ReadFileOptions & { encoding?: null }) | null,
): Promise<Buffer>;
export function readFile(
  path: PathLike | FileHandle,
  options: BufferEncoding | (ReadFileOptions & { encoding: BufferEncoding }),
): Promise<string>;
export function readFile(
  path: PathLike | FileHandle,
  options?: ReadFileOptions | BufferEncoding | null,
): Promise<string | Buffer>;

/** As Node's; the options are bide's own. */
export function open(
  path: PathLike,
  flags?: OpenMode,
  mode?: number | string,
  options?: Signalled,
): Promise<FileHandle>;

export interface StatOptions extends Signalled {
  /** Whether a missing file is an error; false is obeyed where this Node obeys it. */
  throwIfNoEntry?: boolean;
}

export function stat(
  path: PathLike,
  options?: StatOptions & { bigint?: false },
): Promise<Stats>;
export function stat(
  path: PathLike,
  options: StatOptions & { bigint: true },
): Promise<BigIntStats>;
/** As stat, but a symbolic link is itself. */
export function lstat(path: PathLike, options?: Signalled & { bigint?: false }): Promise<Stats>;
export function lstat(
  path: PathLike,
  options: Signalled & { bigint: true },
): Promise<BigIntStats>;

export interface ManyOptions extends Signalled {
  /** 'throw', the default, rejects with the first error; 'return' puts each in its place. */
  errors?: 'throw' | 'return';
}

/** The contents of many files, in the order of the paths. */
export function readFiles(
  paths: readonly PathLike[],
  options?: ManyOptions & { encoding?: null; errors?: 'throw' },
): Promise<Buffer[]>;
export function readFiles(
  paths: readonly PathLike[],
  options: ManyOptions & { encoding: BufferEncoding; errors?: 'throw' },
): Promise<string[]>;
export function readFiles(
  paths: readonly PathLike[],
  options?: ManyOptions & { encoding?: BufferEncoding | null },
): Promise<(Buffer | string | Error)[]>;

/** What many files are, in the order of the paths: one call into the core, one result. */
export function statAll(
  paths: readonly PathLike[],
  options?: ManyOptions & { bigint?: false; followSymlinks?: boolean; errors?: 'throw' },
): Promise<Stats[]>;
export function statAll(
  paths: readonly PathLike[],
  options: ManyOptions & { bigint: true; followSymlinks?: boolean; errors?: 'throw' },
): Promise<BigIntStats[]>;
export function statAll(
  paths: readonly PathLike[],
  options?: ManyOptions & { bigint?: boolean; followSymlinks?: boolean },
): Promise<(Stats | BigIntStats | Error)[]>;

/**
 * A Buffer over shared memory, which the kernel reads into and writes from without a copy:
 * such memory cannot be transferred while it does.
 */
export function allocate(bytes: number): Buffer;
