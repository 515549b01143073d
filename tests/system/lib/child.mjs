// A program that a test has started: its output is collected, its end is awaited, and signals go to it by its pid.
import { spawn } from "node:child_process";
import { once } from "node:events";

import { PATIENCE_MS } from "./session.mjs";

const living = new Set();
process.once("exit", () => living.forEach((child) => child.kill("SIGKILL")));

/** A test that fails may leave a program running: it ends with the test's process. */
export function endWithUs(child) {
  living.add(child);
  child.once("exit", () => living.delete(child));
}

export class Child {
  log = ""; // standard output and standard error

  /** `options` are those of spawn(). */
  constructor(program, args = [], options = {}) {
    this.name = program;
    this.process = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.log += text));
    }
    endWithUs(this.process);
    this.exited = once(this.process, "close"); // [code, signal], with all of the log read
    this.exited.catch((error) => (this.log += `${program}: ${error.message}\n`));
  }

  get pid() {
    return this.process.pid;
  }

  get isRunning() {
    return this.pid !== undefined && this.process.exitCode === null && this.process.signalCode === null;
  }

  kill(signal) {
    this.process.kill(signal);
  }

  /** Sends the signal and waits for the end; a program that takes too long is killed, and that is an error. */
  async end(signal = "SIGTERM") {
    if (this.isRunning) {
      this.kill(signal);
    }
    const patience = setTimeout(() => this.kill("SIGKILL"), PATIENCE_MS);
    const [, endedBy] = await this.exited;
    clearTimeout(patience);
    if (endedBy === "SIGKILL" && signal !== "SIGKILL") {
      throw new Error(`${this.name} does not end on ${signal}:\n${this.log}`);
    }
  }

  /** Fails when it has ended by itself. */
  mustRun() {
    if (!this.isRunning) {
      throw new Error(`${this.name} does not run:\n${this.log}`);
    }
  }
}
