// Numbered messages that go on while something happens, and what a reader must have heard of them.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

/** Sends 0, 1, 2, … to a topic, with a receipt for each, until it is stopped. */
export class Publisher {
  next = 0;
  confirmed = new Set(); // those whose receipt has come
  #stopped = false;

  constructor(session, topic, name) {
    this.session = session;
    this.topic = topic;
    this.name = name;
  }

  /** A few at a time, `pause` ms apart. */
  start({ pause = 5, burst = 2 } = {}) {
    this.done = this.#run(pause, burst);
    return this;
  }

  async #run(pause, burst) {
    while (!this.#stopped && this.session.closed === null) {
      for (let i = 0; i < burst; i++) {
        this.send();
      }
      this.#collect();
      await sleep(pause);
    }
  }

  send() {
    const number = this.next++;
    const headers = { destination: this.topic, from: this.name, receipt: `${this.name}-${number}` };
    this.session.send("SEND", headers, String(number));
  }

  /** Ends, and waits for all receipts, unless the session is gone. */
  async stop() {
    this.#stopped = true;
    await this.done;
    const all = () => this.#collect() || this.confirmed.size === this.next || this.session.closed;
    await this.session.waitFor(`${this.next} receipts for ${this.name}`, all).catch((error) => {
      if (this.session.closed === null) {
        throw error;
      }
    });
  }

  /** The session's receipts would otherwise pile up. */
  #collect() {
    const { frames } = this.session;
    for (let i = frames.length - 1; i >= 0; i--) {
      const receipt = frames[i].headers["receipt-id"];
      if (receipt?.startsWith(`${this.name}-`)) {
        this.confirmed.add(Number(receipt.slice(this.name.length + 1)));
        frames.splice(i, 1);
      }
    }
  }
}

/** What a session or a visit has heard of a publisher, in the order it came. */
export function heardOf(reader, publisher) {
  const frames = reader.frames ?? reader.messages;
  const mine = frames.filter(({ headers }) => headers.from === publisher.name);
  return mine.map((frame) => Number(frame.text ?? frame.body));
}

/** At most once, and in the publisher's order. */
export function assertInOrder(heard, what) {
  heard.forEach((number, i) => {
    assert.ok(i === 0 || number > heard[i - 1], `${what}: ${number} comes after ${heard[i - 1]}`);
  });
}

/** Those from `from` on, below `to`, that were not heard. */
export function missing(heard, from, to) {
  const there = new Set(heard);
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i).filter((number) => !there.has(number));
}

/** Waits until the reader has heard the publisher's last message. */
export function heardLast(session, publisher) {
  const last = publisher.next - 1;
  return session.waitFor(`message ${last} of ${publisher.name}`, () => heardOf(session, publisher).includes(last));
}
