// A redis-server of the test's own, and enough of its protocol to give it commands. It keeps nothing on disk, so that
// a restart is an empty Redis, unless the test configures it otherwise.
import fs from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Child } from "./child.mjs";
import { freePort } from "./daemon.mjs";
import { PATIENCE_MS } from "./session.mjs";

const DEFAULT_CONFIG = { save: "", appendonly: "no", bind: "127.0.0.1", "protected-mode": "no" };

/** One connection: command() sends and resolves with the reply, in order. RESP2, as far as replies are strings. */
export class RedisConnection {
  #pending = []; // { resolve, reject } of what was sent
  #received = Buffer.alloc(0);

  constructor(target) {
    this.socket = net.connect(target);
    this.socket.on("data", (bytes) => this.#read(bytes));
    this.socket.on("error", (error) => (this.error = error));
    this.socket.on("close", () => this.#lost());
  }

  /** Numbers and strings are sent as text, Buffers as they are. Rejects with the server's error. */
  command(...args) {
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) {
        reject(this.#broken());
        return;
      }
      this.#pending.push({ resolve, reject });
      this.socket.write(Buffer.concat([Buffer.from(`*${args.length}\r\n`), ...args.map(encodeBulk)]));
    });
  }

  close() {
    this.socket.destroy();
  }

  #read(bytes) {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const reply = decode(this.#received, 0);
      if (reply === null) {
        return;
      }
      this.#received = this.#received.subarray(reply.end);
      const { resolve, reject } = this.#pending.shift();
      (reply.value instanceof Error ? reject : resolve)(reply.value);
    }
  }

  #lost() {
    this.#pending.splice(0).forEach(({ reject }) => reject(this.#broken()));
  }

  #broken() {
    return new Error(`the connection to Redis is gone: ${this.error?.message ?? "closed"}`);
  }
}

function encodeBulk(arg) {
  const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")]);
}

/** The reply that begins there, as { value, end }; null: it has not come whole. */
function decode(bytes, start) {
  const lineEnd = bytes.indexOf("\r\n", start);
  if (lineEnd < 0) {
    return null;
  }
  const line = bytes.toString("utf8", start + 1, lineEnd);
  const end = lineEnd + 2;
  switch (String.fromCharCode(bytes[start])) {
    case "+":
      return { value: line, end };
    case "-":
      return { value: new Error(line), end };
    case ":":
      return { value: Number(line), end };
    case "$":
      return decodeBulk(bytes, end, Number(line));
    case "*":
      return decodeArray(bytes, end, Number(line));
    default:
      throw new Error(`Redis answers ${JSON.stringify(line)}`);
  }
}

function decodeBulk(bytes, start, length) {
  if (length < 0) {
    return { value: null, end: start };
  }
  const end = start + length + 2;
  return bytes.length < end ? null : { value: bytes.toString("utf8", start, start + length), end };
}

function decodeArray(bytes, start, count) {
  const value = [];
  let end = start;
  for (let i = 0; i < count; i++) {
    const element = decode(bytes, end);
    if (element === null) {
      return null;
    }
    value.push(element.value);
    end = element.end;
  }
  return { value: count < 0 ? null : value, end };
}

export class Redis {
  #config;
  #connection = null;

  /**
   * `config`: directives of redis.conf; an array is a directive's arguments, null leaves one out. `unix`: a socket in
   * its folder, in place of a port.
   */
  constructor({ config = {}, unix = false } = {}) {
    this.#config = { ...DEFAULT_CONFIG, ...config };
    this.unix = unix;
  }

  /** Resolves when it answers. The same port and folder when it is started again. */
  async start() {
    this.folder ??= await fs.mkdtemp(path.join(os.tmpdir(), "stompd-redis-"));
    this.port ??= this.unix ? 0 : await freePort();
    const settings = { ...this.#config, dir: this.folder, port: this.port };
    if (this.unix) {
      settings.unixsocket = this.#socket;
    }
    const directives = Object.entries(settings).filter(([, value]) => value !== null);
    const args = directives.flatMap(([name, value]) => [`--${name}`, value].flat().map(String));
    this.child = new Child("redis-server", args);
    await this.#untilReady();
    return this;
  }

  /** As the conf file's `redis` has it. */
  get address() {
    return this.unix ? `unix:${this.#socket}` : `127.0.0.1:${this.port}`;
  }

  get #socket() {
    return path.join(this.folder, "redis.sock");
  }

  get log() {
    return this.child.log;
  }

  /** Ends it in order; what is on disk stays, for start(). */
  async stop() {
    await this.#end("SIGTERM");
  }

  async kill() {
    await this.#end("SIGKILL");
  }

  async restart() {
    await this.stop();
    await this.start();
  }

  /** Connections stay, and nothing is answered, until resume(). */
  pause() {
    this.child.kill("SIGSTOP");
  }

  resume() {
    this.child.kill("SIGCONT");
  }

  /** Over a connection that is kept. */
  command(...args) {
    if (this.#connection === null || this.#connection.socket.destroyed) {
      this.#connection = this.connect();
    }
    return this.#connection.command(...args);
  }

  /** A connection of its own, for a test that authenticates or subscribes. */
  connect() {
    return new RedisConnection(this.unix ? { path: this.#socket } : { port: this.port, host: "127.0.0.1" });
  }

  /** For good. */
  async remove() {
    this.resume();
    await this.stop();
    await fs.rm(this.folder, { recursive: true, force: true });
  }

  async #end(signal) {
    this.#connection?.close();
    await this.child.end(signal);
  }

  async #untilReady() {
    const deadline = Date.now() + PATIENCE_MS;
    while (!/ready to accept connections/i.test(this.log)) {
      this.child.mustRun();
      if (Date.now() > deadline) {
        throw new Error(`redis-server does not get ready:\n${this.log}`);
      }
      await sleep(10);
    }
  }
}

/** One that is there while the tests of the file, or of the surrounding describe(), run. */
export function useRedis(options) {
  const redis = new Redis(options);
  before(() => redis.start());
  after(() => redis.remove());
  return redis;
}
