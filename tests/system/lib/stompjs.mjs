// STOMP.js clients with promises: connected, subscribed, the next message.
import { after } from "node:test";

import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

import { PATIENCE_MS } from "./session.mjs";

Object.assign(globalThis, { WebSocket });

const clients = [];
let receipts = 0;
after(() => Promise.all(clients.map((client) => client.deactivate({ force: true }))));

/** Resolves with what `start` hands to its argument. */
export function promised(what, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waiting for ${what}`)), PATIENCE_MS);
    start((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

/** Messages that come, and next() to wait for one. */
export class Inbox {
  messages = [];
  #waiting = [];

  take = (message) => {
    const [first] = this.#waiting.splice(0, 1);
    first ? first(message) : this.messages.push(message);
  };

  next() {
    return promised("a message", (resolve) =>
      this.messages.length > 0 ? resolve(this.messages.shift()) : this.#waiting.push(resolve),
    );
  }
}

/** A client that is connected, and ended after the tests; `config` is STOMP.js' own. */
export async function openClient(port, config = {}) {
  const client = new Client({ brokerURL: `ws://127.0.0.1:${port}/ws`, reconnectDelay: 0, ...config });
  clients.push(client);
  await promised("CONNECTED", (resolve) => {
    client.onConnect = resolve;
    client.activate();
  });
  return client;
}

/** Resolves with the inbox of a subscription whose receipt has come. */
export async function subscribe(client, destination, headers = {}) {
  const inbox = new Inbox();
  await receipted(client, (receipt) => {
    inbox.subscription = client.subscribe(destination, inbox.take, { receipt, ...headers });
  });
  return inbox;
}

/** Resolves when the receipt has come of what `act(receipt)` sends with it. */
export function receipted(client, act) {
  const receipt = `stompjs-${++receipts}`;
  return promised("a receipt", (resolve) => {
    client.watchForReceipt(receipt, resolve);
    act(receipt);
  });
}

/** SEND, and its receipt. */
export function publish(client, destination, body, headers = {}) {
  return receipted(client, (receipt) => client.publish({ destination, body, headers: { ...headers, receipt } }));
}
