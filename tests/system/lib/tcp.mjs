// STOMP over plain TCP or TLS.
import net from "node:net";
import tls from "node:tls";

import { Session } from "./session.mjs";

export class TcpSession extends Session {
  hasCloseCodes = false;

  constructor(socket) {
    super();
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.received(bytes));
    socket.on("error", (error) => (this.error = error));
    socket.on("close", () => this.ended({ error: this.error?.message }));
  }

  sendRaw(bytes) {
    this.socket.write(bytes);
  }

  /** Nothing is read any more, until resume(). */
  pause() {
    this.socket.pause();
  }

  resume() {
    this.socket.resume();
  }

  /** Closes in order once all is written. */
  finish() {
    this.socket.end();
  }

  /** Is gone without a word. */
  drop() {
    this.socket.destroy();
  }
}

/** Resolves when the connection is open; `options.ca` makes it TLS. */
export function openTcp(port, options = {}) {
  return new Promise((resolve, reject) => {
    const secure = options.ca !== undefined;
    const socket = secure
      ? tls.connect({ port, host: "127.0.0.1", ...options })
      : net.connect({ port, host: "127.0.0.1", ...options });
    socket.once("error", reject);
    socket.once(secure ? "secureConnect" : "connect", () => {
      socket.off("error", reject);
      resolve(new TcpSession(socket));
    });
  });
}
