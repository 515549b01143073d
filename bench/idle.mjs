// What an idle session costs: opens many WebSocket sessions with one subscription each, sends one message to all, keeps
// them idle for a while, sends another, and prints what the daemon's memory has grown by for each. Both messages must
// reach each session exactly once, and each answers pings meanwhile.
//
//   node bench/idle.mjs [--sessions 10000] [--seconds 60] [--program build/stompd] [--workers 1]
import { once } from "node:events";
import net from "node:net";
import { parseArgs } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";

const { values: options } = parseArgs({
  options: {
    sessions: { type: "string", default: "10000" },
    seconds: { type: "string", default: "60" },
    program: { type: "string", default: process.env.STOMPD_BIN ?? "build/stompd" },
    workers: { type: "string", default: process.env.STOMPD_WORKERS ?? "1" },
  },
});
process.env.STOMPD_BIN = options.program;
process.env.STOMPD_WORKERS = options.workers;
const { Daemon } = await import("../tests/system/lib/daemon.mjs");
const { residentKiB } = await import("../tests/system/lib/process.mjs");

const SESSIONS = Number(options.sessions);
const BUDGET_KIB = 4; // of a plain build; a session with its TCP and WebSocket state and one subscription
const PING_TIME = "2s"; // so that all have answered a ping before the end
const AT_A_TIME = 100;
const ARRIVAL_MS = 60_000;
const TOPIC = "/topic/idle";

const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;

const UPGRADE =
  "GET /ws HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n";

/** A final masked frame; the mask is zero, so the payload stays as it is. Short payloads only. */
function clientFrame(opcode, payload) {
  const body = Buffer.from(payload);
  if (body.length > 125) {
    throw new Error("too long for this client");
  }
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | body.length, 0, 0, 0, 0]), body]);
}

/** Just enough of WebSocket and STOMP that ten thousand fit into one process. */
class IdleSession {
  messages = []; // bodies of the MESSAGEs received
  pings = 0;
  closed = false;
  #pending = Buffer.alloc(0);
  #awaited = null;

  async open(port) {
    this.socket = net.connect(port, "127.0.0.1");
    this.socket.on("data", (bytes) => this.#received(bytes));
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closed = true;
      this.#awaited?.reject(new Error("the daemon closed a session that was being opened"));
    });
    await once(this.socket, "connect");
    await this.#ask(UPGRADE, " 101 ");
    await this.#ask(clientFrame(TEXT, "CONNECT\naccept-version:1.2\nhost:bench\n\n\0"), "CONNECTED");
    await this.#ask(clientFrame(TEXT, `SUBSCRIBE\nid:0\ndestination:${TOPIC}\nreceipt:s\n\n\0`), "RECEIPT");
  }

  publish(body) {
    this.socket.write(clientFrame(TEXT, `SEND\ndestination:${TOPIC}\n\n${body}\0`));
  }

  #ask(bytes, answer) {
    return new Promise((resolve, reject) => {
      this.#awaited = { answer, resolve, reject };
      this.socket.write(bytes);
    });
  }

  #answered(text) {
    if (this.#awaited && text.includes(this.#awaited.answer)) {
      this.#awaited.resolve();
      this.#awaited = null;
    }
  }

  #received(bytes) {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    if (this.#pending[0] === 0x48) {
      this.#takeHttp();
    }
    while (this.#takeFrame());
  }

  /** The answer to the upgrade begins with an H, which no server frame does. */
  #takeHttp() {
    const end = this.#pending.indexOf("\r\n\r\n");
    if (end >= 0) {
      this.#answered(this.#pending.toString("latin1", 0, end));
      this.#pending = this.#pending.subarray(end + 4);
    }
  }

  #takeFrame() {
    const { length } = this.#pending;
    if (length < 2 || this.#pending[0] === 0x48) {
      return false;
    }
    const isLong = this.#pending[1] === 126;
    const start = isLong ? 4 : 2;
    if (length < start) {
      return false;
    }
    const end = start + (isLong ? this.#pending.readUInt16BE(2) : this.#pending[1]);
    if (length < end) {
      return false;
    }
    this.#take(this.#pending[0] & 0x0f, this.#pending.subarray(start, end));
    this.#pending = end === length ? Buffer.alloc(0) : Buffer.from(this.#pending.subarray(end));
    return true;
  }

  #take(opcode, payload) {
    if (opcode === PING) {
      this.pings++;
      this.socket.write(clientFrame(PONG, payload));
    } else if (opcode === CLOSE) {
      this.socket.end();
    } else {
      const text = payload.toString("latin1");
      if (text.startsWith("MESSAGE")) {
        this.messages.push(text.slice(text.indexOf("\n\n") + 2, -1));
      }
      this.#answered(text);
    }
  }
}

async function openAll(port) {
  const sessions = Array.from({ length: SESSIONS }, () => new IdleSession());
  for (let i = 0; i < SESSIONS; i += AT_A_TIME) {
    await Promise.all(sessions.slice(i, i + AT_A_TIME).map((session) => session.open(port)));
  }
  return sessions;
}

/** One message to all; throws unless each session has exactly the expected ones then. */
async function sendToAll(sessions, body, expected) {
  sessions[0].publish(body);
  const isComplete = ({ messages }) => messages.length >= expected.length;
  for (let waited = 0; waited < ARRIVAL_MS && !sessions.every(isComplete); waited += 50) {
    await sleep(50);
  }
  await sleep(500); // for copies that should not be
  const wrong = sessions.filter(({ messages }) => messages.join() !== expected.join());
  const lost = sessions.filter(({ closed }) => closed);
  if (wrong.length > 0 || lost.length > 0) {
    throw new Error(`${wrong.length} sessions did not get "${body}" exactly once, ${lost.length} were closed`);
  }
}

async function measure(daemon) {
  const warmUp = new IdleSession();
  await warmUp.open(daemon.ports.web);
  warmUp.socket.destroy();
  await sleep(500);
  const before = residentKiB(daemon.pid);
  const sessions = await openAll(daemon.ports.web);
  const opened = residentKiB(daemon.pid);
  await sendToAll(sessions, "first", ["first"]);
  await sleep(Number(options.seconds) * 1000);
  await sendToAll(sessions, "second", ["first", "second"]);
  const after = residentKiB(daemon.pid);
  if (!sessions.every(({ pings }) => pings > 0)) {
    throw new Error("not all sessions were pinged");
  }
  const each = (kiB) => `${((kiB - before) / SESSIONS).toFixed(2)} KiB a session`;
  console.log(
    `${SESSIONS} WebSocket sessions with a subscription each, ${options.workers} worker(s), ${options.seconds} s idle`,
  );
  console.log(`two messages to all: each arrived exactly once at each; all were pinged`);
  console.log(`resident memory: ${before} KiB before, ${opened} KiB when all were open (${each(opened)}),`);
  console.log(`${after} KiB after traffic: ${each(after)}`);
  sessions.forEach(({ socket }) => socket.destroy());
  if ((after - before) / SESSIONS > BUDGET_KIB) {
    throw new Error(`more than ${BUDGET_KIB} KiB a session`);
  }
}

const conf = { server: { "ping-time": PING_TIME }, limits: { connections: SESSIONS + 100 } };
const daemon = await new Daemon(conf).start();
try {
  await measure(daemon);
} catch (error) {
  console.error(`bench/idle: ${error.message}`);
  process.exitCode = 1;
} finally {
  await daemon.stop("SIGINT");
}
