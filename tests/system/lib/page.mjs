// A browser application as STOMP.js has it: it connects, subscribes on every connect, and reconnects by itself. What it
// heard is kept by visit, a visit being one connection, so that a test can count what each was promised.
import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

import { eventually } from "./eventually.mjs";

export class Page {
  visits = []; // { session, node, subscribed, messages, code }, the newest last
  #receipts = 0;

  /**
   * `port`: of a daemon or of HAProxy. `destinations`: what is subscribed on every connect. `from`: the address that it
   * comes from. `onSubscribed`: called with each visit once it hears everything. The rest is STOMP.js' own.
   */
  constructor(port, { destinations = [], from, onSubscribed = () => {}, ...config } = {}) {
    this.onSubscribed = onSubscribed;
    this.port = port;
    this.destinations = destinations;
    this.client = new Client({
      reconnectDelay: 50,
      webSocketFactory: () =>
        new WebSocket(`ws://127.0.0.1:${this.port}/ws`, this.client.stompVersions.protocolVersions(), {
          perMessageDeflate: false,
          localAddress: from,
        }),
      onConnect: (frame) => this.#connected(frame),
      onWebSocketClose: ({ code }) => this.#closed(code),
      onStompError: ({ headers }) => (this.error = headers.message),
      ...config,
    });
  }

  /** Resolves when it is subscribed. */
  async start() {
    this.client.activate();
    await this.untilSubscribed(1);
    return this;
  }

  async stop() {
    await this.client.deactivate({ force: true });
  }

  /** The newest visit. */
  get visit() {
    return this.visits.at(-1);
  }

  /** The name of the node that it is on; null while it is on none. */
  get node() {
    return this.client.connected ? this.visit.node : null;
  }

  /** The bodies of all that it has heard, over all visits. */
  get heard() {
    return this.visits.flatMap(({ messages }) => messages.map(({ body }) => body));
  }

  /** Waits for its visit of that number, counted from 1, or for a later one. */
  async untilSubscribed(visits = this.visits.length) {
    const isThere = () => this.visits.length >= visits && this.visit.subscribed && this.client.connected;
    await eventually(`visit ${visits} of a page, now at ${this.visits.length}, ${this.error ?? "no error"}`, isThere);
  }

  /** Resolves when the server has said that it has it. */
  async request(destination, body, headers = {}) {
    const receipt = `sent-${++this.#receipts}`;
    let confirmed = false;
    this.client.watchForReceipt(receipt, () => (confirmed = true));
    this.client.publish({ destination, body, headers: { ...headers, receipt } });
    await eventually(`the receipt of a SEND to ${destination}`, () => confirmed);
  }

  async hears(body) {
    await eventually(`a page to hear ${body}`, () => this.heard.includes(body));
  }

  #connected({ headers }) {
    const visit = { session: headers.session, node: headers.session.split(":")[0], messages: [], code: null };
    visit.waiting = this.destinations.length;
    visit.subscribed = visit.waiting === 0;
    this.visits.push(visit);
    for (const destination of this.destinations) {
      const receipt = `subscribed-${++this.#receipts}`;
      this.client.watchForReceipt(receipt, () => this.#confirmed(visit));
      this.client.subscribe(destination, (message) => visit.messages.push(message), { receipt });
    }
  }

  #confirmed(visit) {
    visit.waiting--;
    if (visit.waiting === 0) {
      visit.subscribed = true;
      this.onSubscribed(visit);
    }
  }

  #closed(code) {
    if (this.visit) {
      this.visit.code ??= code;
    }
  }
}
