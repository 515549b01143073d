// STOMP over WebSocket. Every message of the server must be one whole STOMP frame or one heart-beat, as text when it is
// valid UTF-8 and as binary otherwise; anything else is a fault of the session.
import { isUtf8 } from "node:buffer";

import WebSocket from "ws";

import { Session } from "./session.mjs";

export class WsSession extends Session {
  hasCloseCodes = true;
  messages = 0; // WebSocket messages received
  binaryMessages = 0;
  pings = 0;
  pongs = 0;

  constructor(socket) {
    super();
    this.socket = socket;
    socket.on("message", (data, isBinary) => this.#receivedMessage(data, isBinary));
    socket.on("ping", () => this.#counted("pings"));
    socket.on("pong", () => this.#counted("pongs"));
    socket.on("error", (error) => (this.error = error));
    socket.on("close", (code) =>
      this.ended({ code, error: code === 1006 ? (this.error?.message ?? "code 1006") : undefined }),
    );
  }

  #counted(what) {
    this[what]++;
    this.look();
  }

  #receivedMessage(data, isBinary) {
    const unitsBefore = this.unitsReceived;
    this.messages++;
    this.binaryMessages += isBinary ? 1 : 0;
    this.received(data);
    if (isBinary === isUtf8(data)) {
      this.broke(new Error(`a ${isBinary ? "binary" : "text"} message that should not be one`));
    }
    if (this.unitsReceived !== unitsBefore + 1 || !this.isBetweenFrames) {
      this.broke(new Error(`a WebSocket message that is not one STOMP frame: ${JSON.stringify(data.toString())}`));
    }
  }

  /** Strings and valid UTF-8 go out as text messages. */
  sendRaw(bytes, { binary = typeof bytes !== "string" && !isUtf8(bytes) } = {}) {
    this.socket.send(bytes, { binary });
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
    this.socket.close(1000);
  }

  /** Is gone without a word. */
  drop() {
    this.socket.terminate();
  }
}

/** Resolves when the WebSocket is open. `options` are those of ws; with `ca` it is TLS. */
export function openWs(port, options = {}) {
  const { host = "127.0.0.1", path = "/ws", protocols = ["v12.stomp", "v11.stomp", "v10.stomp"], ...others } = options;
  const scheme = others.ca === undefined ? "ws" : "wss";
  const url = `${scheme}://${host}:${port}${path}`;
  const socket = new WebSocket(url, protocols, { perMessageDeflate: false, ...others });
  return new Promise((resolve, reject) => {
    const session = new WsSession(socket);
    socket.once("open", () => resolve(session));
    socket.once("error", reject);
  });
}
