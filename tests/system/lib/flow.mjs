// Numbered messages through a queue, sent by producers that confirm each, and taken by consumers that acknowledge each.
// All connect again to their own node when they are cut off, and producers send again what was not confirmed.
import { setTimeout as sleep } from "node:timers/promises";

import { Child } from "./child.mjs";
import { encodeFrame } from "./frame.mjs";
import { PATIENCE_MS } from "./session.mjs";
import { connect, overTcp } from "./transports.mjs";

const RETRY_MS = 50;

class Member {
  isStopped = false;
  troubles = []; // what ended its connections

  constructor(node, transport) {
    this.node = node;
    this.transport = transport;
  }

  start() {
    this.done = this.#run();
    return this;
  }

  /** Resolves when it has nothing to do any more. */
  async #run() {
    while (!this.isFinished) {
      let session;
      try {
        session = await connect(this.node, this.transport);
        await this.work(session);
      } catch (error) {
        this.troubles.push(error.message);
        session?.drop();
        await sleep(RETRY_MS);
      }
    }
  }

  /** All frames that have come; others than these end the connection. */
  take(session, command) {
    const frames = session.frames.splice(0);
    const other = frames.find((frame) => frame.command !== command);
    if (other) {
      throw new Error(`${other.command} ${other.headers.message}`);
    }
    return frames;
  }
}

/** Sends its numbers, no more than `limit` allows at the time, with so many unconfirmed as `window`. */
export class Producer extends Member {
  confirmed = new Set();

  /** `gate`: { limit }, above which no number is sent. */
  constructor(node, destination, numbers, gate, { window = 50 } = {}) {
    super(node, overTcp);
    this.destination = destination;
    this.numbers = numbers;
    this.gate = gate;
    this.window = window;
  }

  get isFinished() {
    return this.isStopped || this.confirmed.size === this.numbers.length;
  }

  async work(session) {
    const open = this.numbers.filter((number) => !this.confirmed.has(number));
    let next = 0;
    let waiting = 0;
    while (!this.isFinished) {
      const sends = [];
      for (; next < open.length && waiting < this.window && open[next] < this.gate.limit; next++, waiting++) {
        const headers = { destination: this.destination, receipt: open[next] };
        sends.push(encodeFrame("SEND", headers, String(open[next])));
      }
      if (sends.length > 0) {
        session.sendRaw(Buffer.concat(sends));
      }
      if (waiting === 0) {
        await sleep(5);
      } else {
        await session.waitFor("a receipt", () => session.frames.length > 0, PATIENCE_MS);
      }
      for (const { headers } of this.take(session, "RECEIPT")) {
        this.confirmed.add(Number(headers["receipt-id"]));
        waiting--;
      }
    }
    await session.request("DISCONNECT");
  }
}

/** Acknowledges all that it gets, until stop(). */
export class Consumer extends Member {
  heard = []; // numbers, in the order they came, each as often as it came
  #session = null;

  constructor(node, transport, destination, { prefetch = 50 } = {}) {
    super(node, transport);
    this.destination = destination;
    this.prefetch = prefetch;
  }

  get isFinished() {
    return this.isStopped;
  }

  async work(session) {
    this.#session = session;
    const headers = { ack: "client-individual", "prefetch-count": this.prefetch };
    await session.subscribe(this.destination, "0", headers);
    while (!this.isStopped) {
      await session.waitFor("a message", () => session.frames.length > 0 || this.isStopped, 10 * PATIENCE_MS);
      const messages = this.take(session, "MESSAGE");
      this.heard.push(...messages.map(({ text }) => Number(text)));
      if (messages.length > 0) {
        session.sendRaw(Buffer.concat(messages.map(({ headers }) => encodeFrame("ACK", { id: headers.ack }))));
      }
    }
    await session.request("DISCONNECT");
  }

  async stop() {
    this.isStopped = true;
    this.#session?.look();
    await this.done;
  }
}

/** The one written in Python. */
export class PythonConsumer {
  constructor(node, destination) {
    this.node = node;
    this.destination = destination;
  }

  start() {
    const script = new URL("consumer.py", import.meta.url).pathname;
    this.child = new Child("/usr/bin/python3", [script, String(this.node.ports.plain), this.destination]);
    return this;
  }

  get heard() {
    return [...this.child.log.matchAll(/^heard (\d+)\n/gm)].map(([, number]) => Number(number));
  }

  async stop() {
    this.child.mustRun();
    await this.child.end();
  }
}
