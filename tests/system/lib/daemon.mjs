// A stompd of the test's own: a conf file in a fresh folder, free ports, the log collected. stop() is where a daemon
// that crashed, leaked or tripped a sanitizer is found.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { endWithUs } from "./child.mjs";
import { PATIENCE_MS } from "./session.mjs";

export const PROGRAM = path.resolve(process.env.STOMPD_BIN ?? "build/stompd");
export const WORKERS = process.env.STOMPD_WORKERS ?? "1";

const SANITIZER_REPORT = /AddressSanitizer|ThreadSanitizer|runtime error|LeakSanitizer/;

// Listeners, and the section admin where a test has it, get a free port as `bind`.
const DEFAULT_CONF = {
  server: { node: "test-node", workers: WORKERS, "notice-time": "50ms", "drain-time": "50ms" },
  "listen web": { protocol: "ws", path: "/ws" },
  "listen plain": { protocol: "stomp" },
  auth: { anonymous: "yes" },
  "user alice": { password: "plain:wonderland" },
  "user bob": { password: "plain:builder" },
};

let nextPort = process.pid * 101; // other test files, with other pids, begin elsewhere

/** Below the range that the kernel takes for outgoing connections, so that a port found free stays free. */
export async function freePort() {
  for (;;) {
    const port = 20000 + (nextPort++ % 12000); // never the same twice
    const server = net.createServer();
    const isFree = await new Promise((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (isFree) {
      server.close();
      await once(server, "close");
      return port;
    }
  }
}

/** Adds to the default sections; a section or key that is null is left out. */
function mergeConf(conf) {
  const merged = structuredClone(DEFAULT_CONF);
  for (const [section, keys] of Object.entries(conf)) {
    merged[section] = keys === null ? null : { ...merged[section], ...keys };
  }
  return merged;
}

export function writeConf(sections) {
  const lines = [];
  for (const [section, keys] of Object.entries(sections)) {
    if (keys !== null) {
      const entries = Object.entries(keys).filter(([, value]) => value !== null);
      lines.push(`[${section}]`, ...entries.map(([key, value]) => `${key} = ${value}`), "");
    }
  }
  return lines.join("\n");
}

export class Daemon {
  log = ""; // since it was started last
  ports = {}; // by the listener's name, and `admin`
  #conf;
  #within;

  /** `host`: where it listens. `within`: a command that runs the daemon, as the process that it is itself. */
  constructor(conf = {}, { host = "127.0.0.1", within = [] } = {}) {
    this.#conf = mergeConf(conf);
    this.host = host;
    this.#within = within;
  }

  /** Resolves when all its ports answer. */
  async start() {
    await this.launch();
    await this.untilListening();
    return this;
  }

  /** Resolves when the process exists: for one that is to be late, or to refuse. */
  async launch() {
    this.folder = await fs.mkdtemp(path.join(os.tmpdir(), "stompd-test-"));
    await this.#choosePorts();
    const file = path.join(this.folder, "stompd.conf");
    await fs.writeFile(file, writeConf(this.#conf));
    this.log = "";
    const [program, ...args] = [...this.#within, PROGRAM, "-c", file];
    this.child = spawn(program, args, { stdio: ["ignore", "inherit", "pipe"] });
    endWithUs(this.child);
    this.child.stderr.setEncoding("utf8").on("data", (text) => (this.log += text));
    this.exited = once(this.child, "close"); // [code, signal], with all of the log read
  }

  async untilListening() {
    await Promise.all(Object.values(this.ports).map((port) => this.#untilAnswering(port)));
  }

  get pid() {
    return this.child.pid;
  }

  get isRunning() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  kill(signal) {
    this.child.kill(signal);
  }

  /** Ends it and checks that it ended well. */
  async stop(signal = "SIGTERM") {
    if (this.isRunning) {
      this.kill(signal);
    }
    await this.checkExit();
  }

  /** Ends it at once, as a failing machine would. */
  async crash() {
    this.kill("SIGKILL");
    await this.exited;
    await fs.rm(this.folder, { recursive: true, force: true });
    assert.ok(!SANITIZER_REPORT.test(this.log), `a sanitizer has found something:\n${this.log}`);
  }

  async checkExit() {
    const patience = setTimeout(() => this.kill("SIGKILL"), PATIENCE_MS);
    const [code, signal] = await this.exited;
    clearTimeout(patience);
    await fs.rm(this.folder, { recursive: true, force: true });
    assert.ok(!SANITIZER_REPORT.test(this.log), `a sanitizer has found something:\n${this.log}`);
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `the daemon ended badly, its log:\n${this.log}`);
  }

  async #choosePorts() {
    for (const [section, keys] of Object.entries(this.#conf)) {
      const [, name] = /^(?:listen )?(.*)$/.exec(section);
      if ((section === "admin" || section !== name) && keys !== null) {
        this.ports[name] ??= await freePort(); // the same when it is started again
        keys.bind = `${this.host}:${this.ports[name]}`;
      }
    }
  }

  async #untilAnswering(port) {
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await answers(port, this.host))) {
      assert.ok(this.isRunning && Date.now() < deadline, `the daemon does not start:\n${this.log}`);
      await sleep(20);
    }
  }
}

/** True when something listens there. */
export function answers(port, host = "127.0.0.1") {
  return new Promise((resolve) => {
    const socket = net.connect(port, host);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/**
 * A daemon that is there while the tests of the file, or of the surrounding describe(), run. What must be done once it
 * has started belongs into `prepare`: Node runs several before() of one file at the same time.
 */
export function useDaemon(conf, prepare = () => {}) {
  const daemon = new Daemon(conf);
  before(async () => {
    await daemon.start();
    await prepare(daemon);
  });
  after(() => daemon.stop());
  return daemon;
}
