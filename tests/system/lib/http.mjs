// Plain HTTP requests and hand-made WebSocket upgrades.
import { randomBytes } from "node:crypto";
import http from "node:http";
import net from "node:net";

import { PATIENCE_MS } from "./session.mjs";

/** Resolves with { status, headers, body }; an upgrade that was taken has status 101 and the `socket`. */
export function request(port, { host = "127.0.0.1", path = "/", method = "GET", headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const asked = http.request({ port, host, path, method, headers, agent: false });
    asked.once("error", reject);
    asked.once("upgrade", (response, socket, head) => {
      socket.on("error", () => {});
      resolve({ status: response.statusCode, headers: response.headers, body: "", socket, head });
    });
    asked.once("response", async (response) => {
      try {
        const chunks = await response.toArray();
        const { statusCode: status, headers } = response;
        resolve({ status, headers, body: Buffer.concat(chunks).toString() });
      } catch (error) {
        reject(error);
      }
    });
    asked.end(body);
  });
}

/** The headers of a proper upgrade, to be changed by a test; null leaves one out. */
export function upgradeHeaders(changes = {}) {
  const headers = {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
    ...changes,
  };
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== null));
}

export async function upgrade(port, { path = "/ws", method = "GET", headers = {} } = {}) {
  const answer = await request(port, { path, method, headers: upgradeHeaders(headers) });
  answer.socket?.destroy();
  return answer;
}

/** A socket for hand-made bytes; all that comes back stays in `text`, an octet a letter. */
export class RawConnection {
  text = "";
  closed = false;
  #look = () => {};

  constructor(port) {
    this.socket = net.connect(port, "127.0.0.1");
    this.socket.setNoDelay(true);
    this.socket.on("data", (chunk) => {
      this.text += chunk.toString("latin1");
      this.#look();
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closed = true;
      this.#look();
    });
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /** Waits until `text` holds this, and cuts it off with all before it; false when the server closes first. */
  async until(wanted) {
    while (!this.text.includes(wanted)) {
      if (this.closed) {
        return false;
      }
      await this.#change();
    }
    this.text = this.text.slice(this.text.indexOf(wanted) + wanted.length);
    return true;
  }

  /** Waits until the server closes, and gives what it has said. */
  async untilClosed() {
    while (!this.closed) {
      await this.#change();
    }
    return this.text;
  }

  drop() {
    this.socket.destroy();
  }

  #change() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`nothing happens; so far: ${this.text.slice(0, 500)}`)),
        PATIENCE_MS,
      );
      this.#look = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The text of a request with these headers. */
export function requestText(path, headers, method = "GET") {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\nHost: test\r\n${lines.join("")}\r\n`;
}

/** A WebSocket made by hand, for what no WebSocket library would send. */
export async function openRawWs(port, { path = "/ws", headers = {} } = {}) {
  const connection = new RawConnection(port);
  connection.write(requestText(path, upgradeHeaders(headers)));
  await connection.until("\r\n\r\n");
  return connection;
}

/** One masked client frame of WebSocket, with any first byte (FIN, RSV and opcode). */
export function clientFrame(firstByte, payload = "", { masked = true } = {}) {
  const body = Buffer.from(payload);
  const extended = body.length < 126 ? 0 : body.length < 65536 ? 2 : 8;
  const head = Buffer.alloc(2 + extended);
  head[0] = firstByte;
  head[1] = (masked ? 0x80 : 0) | [body.length, 0, 126, 0, 0, 0, 0, 0, 127][extended];
  if (extended === 2) {
    head.writeUInt16BE(body.length, 2);
  } else if (extended === 8) {
    head.writeBigUInt64BE(BigInt(body.length), 2);
  }
  return Buffer.concat([head, Buffer.alloc(masked ? 4 : 0), body]); // a mask of zeros changes nothing
}
