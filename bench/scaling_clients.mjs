// Browsers for bench/scaling.mjs: just enough of WebSocket and STOMP that some thousand fit into one process, each with
// the subscriptions, the name and the heart-beats that its work wants. They send by the clock, whatever comes back.
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
const LONGEST = 65535;
const AT_A_TIME = 100;
const PATIENCE_MS = 20_000;

const UPGRADE =
  "GET /ws HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n";

/** A final masked frame; the mask is zero, so the payload stays as it is. */
function clientFrame(opcode, payload) {
  const body = Buffer.from(payload);
  if (body.length > LONGEST) {
    throw new Error("too long for this client");
  }
  const head = [0x80 | opcode];
  head.push(...(body.length > 125 ? [0x80 | 126, body.length >> 8, body.length & 0xff] : [0x80 | body.length]));
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), body]);
}

const BEAT = clientFrame(TEXT, "\n");

export function sendFrame(destination, body) {
  return clientFrame(TEXT, `SEND\ndestination:${destination}\n\n${body}\0`);
}

/** A body of that many bytes. */
export function bodyOf(bytes) {
  return "x".repeat(bytes);
}

export class Browser {
  messages = 0;
  #pending = Buffer.alloc(0);
  #awaited = null;
  #beats = null;
  #subscriptions = 0;

  /** `user`: the name that it logs in with; without one it is nameless. `beatMs`: of its heart-beats, both ways. */
  constructor({ port, user = null, beatMs = 0 }) {
    this.port = port;
    this.user = user;
    this.beatMs = beatMs;
  }

  async open() {
    this.socket = net.connect(this.port, "127.0.0.1");
    this.socket.setNoDelay(true);
    this.socket.on("data", (bytes) => this.#received(bytes));
    this.socket.on("error", () => {});
    this.socket.on("close", () => this.#ended());
    await this.#ask(UPGRADE, " 101 ");
    const login = this.user === null ? "" : `login:${this.user}\npasscode:secret\n`;
    const beat = `heart-beat:${this.beatMs},${this.beatMs}\n`;
    await this.#ask(clientFrame(TEXT, `CONNECT\naccept-version:1.2\nhost:bench\n${beat}${login}\n\0`), "CONNECTED");
    if (this.beatMs > 0) {
      const started = Math.random() * this.beatMs;
      this.#beats = setTimeout(() => {
        this.#beats = setInterval(() => this.socket.write(BEAT), this.beatMs);
      }, started);
    }
  }

  /** Resolves when all of them are live. */
  async subscribe(...destinations) {
    const frames = destinations.map((destination, n) => {
      const receipt = n === destinations.length - 1 ? "receipt:last\n" : "";
      return clientFrame(TEXT, `SUBSCRIBE\nid:${this.#subscriptions++}\ndestination:${destination}\n${receipt}\n\0`);
    });
    if (frames.length > 0) {
      await this.#ask(Buffer.concat(frames), "RECEIPT");
    }
  }

  /** Takes what sendFrame() has made. */
  send(frame) {
    this.socket.write(frame);
  }

  close() {
    clearInterval(this.#beats);
    this.socket.removeAllListeners("close");
    this.socket.destroy();
  }

  #ask(bytes, answer) {
    return new Promise((resolve, reject) => {
      this.#awaited = { answer, resolve, reject };
      this.socket.write(bytes);
    });
  }

  #ended() {
    clearInterval(this.#beats);
    this.#awaited?.reject(new Error(`a connection was closed: ${this.lastWords ?? ""}`));
    this.wasClosed = true;
  }

  #answered(text) {
    if (this.#awaited && text.includes(this.#awaited.answer)) {
      this.#awaited.resolve();
      this.#awaited = null;
    }
  }

  #received(bytes) {
    let rest = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    while (rest.length > 0) {
      const taken = rest[0] === 0x48 ? this.#takeHttp(rest) : this.#takeFrame(rest);
      if (taken === 0) {
        break;
      }
      rest = rest.subarray(taken);
    }
    this.#pending = rest.length > 0 ? Buffer.from(rest) : rest;
  }

  /** The answer to the upgrade begins with an H, which no server frame does. The bytes that it took; 0: not all is there. */
  #takeHttp(bytes) {
    const end = bytes.indexOf("\r\n\r\n");
    if (end < 0) {
      return 0;
    }
    this.#answered(bytes.toString("latin1", 0, end));
    return end + 4;
  }

  #takeFrame(bytes) {
    if (bytes.length < 4 && bytes.length < 2 + (bytes[1] ?? 2)) {
      return 0;
    }
    const start = bytes[1] === 126 ? 4 : 2;
    const end = start + (bytes[1] === 126 ? bytes.readUInt16BE(2) : bytes[1]);
    if (bytes.length < end) {
      return 0;
    }
    this.#take(bytes[0] & 0x0f, bytes.subarray(start, end));
    return end;
  }

  #take(opcode, payload) {
    if (opcode === PING) {
      this.socket.write(clientFrame(PONG, payload));
    } else if (opcode === CLOSE) {
      this.socket.end();
    } else if (payload[0] === 0x4d) {
      this.messages++; // MESSAGE
    } else if (this.#awaited !== null) {
      this.#answered(payload.toString("latin1"));
    } else if (payload[0] === 0x45) {
      this.lastWords = payload.toString("latin1"); // ERROR
    }
  }
}

/** Opens them all, a hundred at a time; `destinationsOf(browser, n)`: what each subscribes to. */
export async function openAll(browsers, destinationsOf = () => []) {
  for (let first = 0; first < browsers.length; first += AT_A_TIME) {
    await Promise.all(
      browsers.slice(first, first + AT_A_TIME).map(async (browser, n) => {
        await browser.open();
        await browser.subscribe(...destinationsOf(browser, first + n));
      }),
    );
  }
  return browsers;
}

export function closeAll(browsers) {
  browsers.forEach((browser) => browser.close());
}

const turn = () => new Promise(setImmediate);

/**
 * Calls `act(n)` for n = 0, 1, … `rate` times a second on average, at random moments as many independent browsers would,
 * for that many seconds. Resolves with how often that was. It looks at the clock all the time: a timer would gather what
 * is due within a millisecond, and so save the server work.
 */
export async function pace(rate, seconds, act) {
  const started = performance.now();
  const gap = () => (-Math.log(1 - Math.random()) / rate) * 1000;
  let done = 0;
  for (let due = gap(); due < seconds * 1000; due += gap()) {
    while (performance.now() - started < due) {
      await turn();
    }
    act(done++);
  }
  return done;
}

/** Waits until all together have got that many messages. */
export async function untilReceived(browsers, expected) {
  const received = () => browsers.reduce((sum, { messages }) => sum + messages, 0);
  for (let waited = 0; received() < expected; waited += 10) {
    if (waited > PATIENCE_MS) {
      throw new Error(`${received()} of ${expected} messages have come`);
    }
    await sleep(10);
  }
}
