// STOMP frames as a client writes and reads them. The reader is strict: what a server must not send is an error here,
// so every test that receives anything checks the framing, the escapes of its version and content-length too.
import { isUtf8 } from "node:buffer";

const NUL = 0;
const LF = 10;

const SERVER_COMMANDS = ["CONNECTED", "MESSAGE", "RECEIPT", "ERROR"];
const COMMANDS_WITH_BODY = ["MESSAGE", "ERROR"];

const ESCAPES = {
  "1.0": {},
  1.1: { "\\": "\\\\", "\n": "\\n", ":": "\\c" },
  1.2: { "\\": "\\\\", "\n": "\\n", ":": "\\c", "\r": "\\r" },
};

function escape(text, version) {
  return text.replace(/[\\\n:\r]/g, (octet) => ESCAPES[version][octet] ?? octet);
}

function unescape(text, version) {
  return text.replace(/\\([^]?)/g, (sequence) => {
    const found = Object.entries(ESCAPES[version]).find(([, escaped]) => escaped === sequence);
    if (!found) {
      throw new Error(`escape sequence ${JSON.stringify(sequence)} does not exist in STOMP ${version}`);
    }
    return found[0];
  });
}

/**
 * The bytes of a client frame. `headers` is an object, or an array of [name, value] where names repeat. A Buffer as
 * body gets a content-length; a string gets none.
 */
export function encodeFrame(command, headers = {}, body = "", version = "1.2") {
  const escapedIn = command === "CONNECT" || command === "STOMP" ? "1.0" : version;
  const pairs = Array.isArray(headers) ? [...headers] : Object.entries(headers);
  if (Buffer.isBuffer(body)) {
    pairs.push(["content-length", String(body.length)]);
  }
  const lines = pairs.map(([name, value]) => `${escape(name, escapedIn)}:${escape(String(value), escapedIn)}\n`);
  return Buffer.concat([Buffer.from(`${command}\n${lines.join("")}\n`), Buffer.from(body), Buffer.from([NUL])]);
}

/** Calls onFrame({ command, headers, pairs, body, text }) and onBeat(). */
export class FrameReader {
  version = null; // the session's, from CONNECTED on
  #pending = Buffer.alloc(0);

  constructor({ onFrame, onBeat }) {
    this.onFrame = onFrame;
    this.onBeat = onBeat;
  }

  get isBetweenFrames() {
    return this.#pending.length === 0;
  }

  /** Throws at the first byte that is not STOMP. */
  feed(bytes) {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    while (this.#pending.length > 0) {
      if (this.#pending[0] === LF) {
        this.#pending = this.#pending.subarray(1);
        this.onBeat();
      } else if (!this.#takeFrame()) {
        return;
      }
    }
  }

  #takeFrame() {
    const headEnd = this.#pending.indexOf("\n\n");
    if (headEnd < 0) {
      return false;
    }
    const frame = this.#readHead(this.#pending.subarray(0, headEnd));
    const bodyStart = headEnd + 2;
    const bodyEnd = this.#bodyEnd(frame, bodyStart);
    if (bodyEnd < 0 || bodyEnd >= this.#pending.length) {
      return false;
    }
    this.#finish(frame, this.#pending.subarray(bodyStart, bodyEnd), this.#pending[bodyEnd]);
    this.#pending = this.#pending.subarray(bodyEnd + 1);
    this.onFrame(frame);
    return true;
  }

  #readHead(bytes) {
    if (!isUtf8(bytes)) {
      throw new Error("headers are not UTF-8");
    }
    const [command, ...lines] = bytes.toString().split("\n");
    if (!SERVER_COMMANDS.includes(command)) {
      throw new Error(`no server command: ${JSON.stringify(command)}`);
    }
    const pairs = lines.map((line) => this.#readHeader(command, line));
    const headers = Object.create(null);
    for (const [name, value] of pairs) {
      headers[name] ??= value; // the first entry wins
    }
    return { command, headers, pairs };
  }

  #readHeader(command, line) {
    const colon = line.indexOf(":");
    if (colon < 1) {
      throw new Error(`no header: ${JSON.stringify(line)}`);
    }
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1)];
    if (this.version === null || this.version === "1.0" || command === "CONNECTED") {
      return [name, value];
    }
    if (value.includes(":") || (this.version === "1.2" && line.includes("\r"))) {
      throw new Error(`not escaped: ${JSON.stringify(line)}`);
    }
    return [unescape(name, this.version), unescape(value, this.version)];
  }

  #bodyEnd(frame, start) {
    const length = frame.headers["content-length"];
    if (length === undefined) {
      return this.#pending.indexOf(NUL, start);
    }
    if (!/^\d+$/.test(length)) {
      throw new Error(`content-length: ${length}`);
    }
    return start + Number(length);
  }

  #finish(frame, body, end) {
    if (end !== NUL) {
      throw new Error(`${frame.command}: no NUL behind the body`);
    }
    if (body.length > 0 && !COMMANDS_WITH_BODY.includes(frame.command)) {
      throw new Error(`${frame.command} with a body`);
    }
    if (body.length > 0 && frame.headers["content-length"] === undefined) {
      throw new Error(`${frame.command}: a body without content-length`);
    }
    frame.body = Buffer.from(body);
    frame.text = frame.body.toString();
    if (frame.command === "CONNECTED") {
      this.version = frame.headers.version ?? "1.0";
    }
  }
}
