// A STOMP server over plain TCP that does to messages what a real one should not: what becomes of a SEND is the test's
// word. One node, topics by their exact names.
import { once } from "node:events";
import net from "node:net";
import { after } from "node:test";

/** Client frames, which are text and end with NUL. */
function parse(text) {
  const end = text.indexOf("\n\n");
  const [command, ...lines] = text.slice(0, end).trimStart().split("\n");
  const headers = Object.fromEntries(lines.map((line) => line.split(/:(.*)/s, 2)));
  return { command, headers, body: text.slice(end + 2) };
}

class Connection {
  subscriptions = new Map(); // destination → id
  #pending = "";

  constructor(server, socket) {
    this.server = server;
    this.socket = socket;
    socket.setNoDelay(true).setEncoding("latin1");
    socket.on("data", (text) => this.#received(text));
    socket.on("error", () => {});
    socket.on("close", () => server.connections.delete(this));
  }

  say(text) {
    this.socket.write(`${text}\0`, "latin1");
  }

  deliver(message) {
    const id = this.subscriptions.get(message.destination) ?? 0;
    const length = `content-length:${message.body.length}`;
    this.say(`MESSAGE\nsubscription:${id}\ndestination:${message.destination}\nmessage-id:1\n${length}\n\n${message.body}`);
  }

  #received(text) {
    this.#pending += text;
    const frames = this.#pending.split("\0");
    this.#pending = frames.pop();
    for (const frame of frames) {
      this.#take(parse(frame));
    }
  }

  #take({ command, headers, body }) {
    if (command === "CONNECT") {
      this.server.onConnect(this);
    } else if (command === "SUBSCRIBE") {
      this.subscriptions.set(headers.destination, headers.id);
    } else if (command === "SEND") {
      this.server.take({ destination: headers.destination, body }, this);
    }
    if (headers.receipt !== undefined) {
      this.say(`RECEIPT\nreceipt-id:${headers.receipt}\n\n`);
    }
  }
}

export class FakeStomp {
  connections = new Set();
  peers = []; // addresses of all that have come
  sends = 0;

  /** `onSend(message, n, server, sender)`: what becomes of the nth SEND, in place of reaching all subscribers. */
  constructor({ onSend = (message, n, server) => server.publish(message), onConnect } = {}) {
    this.onSend = onSend;
    this.onConnect = onConnect ?? ((connection) => connection.say("CONNECTED\nversion:1.2\nheart-beat:0,0\n\n"));
  }

  async start() {
    this.server = net.createServer((socket) => {
      this.peers.push(socket.remoteAddress);
      this.connections.add(new Connection(this, socket));
    });
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.url = `stomp://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  take(message, sender) {
    this.onSend(message, ++this.sends, this, sender);
  }

  subscribers({ destination }) {
    return [...this.connections].filter((connection) => connection.subscriptions.has(destination));
  }

  publish(message) {
    this.subscribers(message).forEach((connection) => connection.deliver(message));
  }

  stop() {
    this.connections.forEach(({ socket }) => socket.destroy());
    this.server.close();
  }
}

/** One that is stopped when the tests of the file, or the surrounding describe(), are through. */
export async function startFake(options) {
  const fake = await new FakeStomp(options).start();
  after(() => fake.stop());
  return fake;
}
