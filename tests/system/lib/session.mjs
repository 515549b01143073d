// One STOMP session as tests see it, whatever carries it: lib/tcp.mjs and lib/ws.mjs are the two transports. Received
// frames are collected, and expect() takes them out, so what is left in `frames` came unasked.
import assert from "node:assert/strict";

import { encodeFrame, FrameReader } from "./frame.mjs";

/** How long anything may take before a test calls it lost. Sanitizer builds on a busy machine are slow. */
export const PATIENCE_MS = 30_000;

export class Session {
  version = "1.2"; // what frames are encoded for
  frames = []; // received and not yet taken
  beats = 0; // heart-beats received
  unitsReceived = 0; // frames and heart-beats
  bytesReceived = 0;
  closed = null; // { code } once the connection has ended; TCP has no code
  #fault = null; // what the server sent is not STOMP
  #waiting = new Set();
  #receipts = 0;
  #reader = new FrameReader({
    onFrame: (frame) => {
      this.unitsReceived++;
      this.frames.push(frame);
    },
    onBeat: () => {
      this.unitsReceived++;
      this.beats++;
    },
  });

  // ---- for the transports

  received(bytes) {
    this.bytesReceived += bytes.length;
    try {
      this.#reader.feed(bytes);
    } catch (fault) {
      this.#fault ??= fault;
    }
    this.look();
  }

  get isBetweenFrames() {
    return this.#reader.isBetweenFrames;
  }

  broke(fault) {
    this.#fault ??= fault;
    this.look();
  }

  ended(how) {
    this.closed ??= how;
    this.look();
  }

  /** Something that a waitFor() may be waiting for has changed. */
  look() {
    for (const look of [...this.#waiting]) {
      look();
    }
  }

  // ---- for tests

  send(command, headers, body) {
    this.sendRaw(encodeFrame(command, headers, body, this.version));
  }

  /** CONNECT and its answer, which also stays in `connected`. */
  async connect({ version = "1.2", command = "CONNECT", ...headers } = {}) {
    this.send(command, { "accept-version": version, host: "test", ...headers });
    this.connected = await this.expect("CONNECTED");
    this.version = this.connected.headers.version ?? "1.0";
    return this;
  }

  /** Sends the frame with a receipt of its own and waits for that. */
  async request(command, headers = {}, body = "") {
    const receipt = `receipt-${++this.#receipts}`;
    this.send(command, { ...headers, receipt }, body);
    return this.expect({ command: "RECEIPT", "receipt-id": receipt });
  }

  async subscribe(destination, id = "0", headers = {}) {
    await this.request("SUBSCRIBE", { id, destination, ...headers });
  }

  /** Takes the first frame that matches: a command, { command, header: value … }, or a function of the frame. */
  expect(wanted, patience) {
    const what = typeof wanted === "function" ? `a frame with ${wanted}` : `a frame ${JSON.stringify(wanted)}`;
    return this.waitFor(what, () => this.#take(wanted), patience);
  }

  /** An ERROR whose message matches, and the end of the connection after it, on WebSocket with that close code. */
  async expectError(message, code) {
    const frame = await this.expect("ERROR");
    assert.match(frame.headers.message ?? "", message);
    assert.notEqual(frame.headers.message, "");
    await this.expectClose(code);
    return frame;
  }

  async expectClose(code) {
    await this.waitFor("the end of the connection", () => this.closed);
    if (this.hasCloseCodes && code !== undefined) {
      assert.equal(this.closed.code, code, "WebSocket close code");
    }
    assert.equal(this.closed.error, undefined, "the connection must end in order");
  }

  /** Resolves with what probe() returns as soon as that is neither undefined nor null nor false. */
  waitFor(what, probe, patience = PATIENCE_MS) {
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle(value);
      };
      const look = () => {
        const found = probe();
        if (found) {
          end(resolve, found);
        } else if (this.#fault) {
          end(reject, this.#fault);
        } else if (this.closed) {
          end(reject, this.#lost(what, `the connection has ended ${JSON.stringify(this.closed)}`));
        }
      };
      const timer = setTimeout(() => end(reject, this.#lost(what, `nothing within ${patience} ms`)), patience);
      this.#waiting.add(look);
      look();
    });
  }

  #take(wanted) {
    const index = this.frames.findIndex((frame) => matches(frame, wanted));
    return index < 0 ? undefined : this.frames.splice(index, 1)[0];
  }

  #lost(what, why) {
    const others = this.frames.slice(0, 5).map(({ command, headers }) => `\n  ${command} ${JSON.stringify(headers)}`);
    return new Error(`waiting for ${what}: ${why}; other frames: ${this.frames.length}${others.join("")}`);
  }
}

function matches(frame, wanted) {
  if (typeof wanted === "function") {
    return wanted(frame);
  }
  const { command, ...headers } = typeof wanted === "string" ? { command: wanted } : wanted;
  return frame.command === command && Object.entries(headers).every(([name, value]) => frame.headers[name] === value);
}
