// All nodes are restarted one after the other behind HAProxy, under traffic, with STOMP.js pages that reconnect by
// themselves: what each visit of a page was promised is counted message by message.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Cluster } from "./lib/cluster.mjs";
import { HaProxy } from "./lib/haproxy.mjs";
import { Page } from "./lib/page.mjs";
import { assertInOrder, heardOf, missing } from "./lib/traffic.mjs";
import { freshTopic } from "./lib/transports.mjs";

const PROXIED = { "proxy-protocol": "v2" };
const PAGES = 12;

// HAProxy takes about 1.2 s to notice.
const cluster = new Cluster({
  size: 3,
  conf: {
    server: { "notice-time": "2s", "drain-time": "500ms" },
    "listen web": PROXIED,
    "listen plain": PROXIED,
  },
});
let proxy;

before(async () => {
  await cluster.start();
  proxy = await new HaProxy(cluster.byName).start();
});
after(async () => {
  await proxy?.stop();
  await cluster.stop();
});

/** A page that sends numbers, a stream of its own on each visit, and knows which of them the server has confirmed. */
class Talker {
  streams = []; // { name, next, confirmed }
  #stopped = false;

  constructor(topic, name) {
    this.topic = topic;
    this.name = name;
    this.page = new Page(proxy.ports.web);
  }

  async start() {
    await this.page.start();
    this.done = this.#run();
    return this;
  }

  async #run() {
    while (!this.#stopped) {
      if (this.page.client.connected) {
        this.#send(this.#stream());
      }
      await sleep(10);
    }
  }

  /** The stream of the visit that is. */
  #stream() {
    const name = `${this.name}/${this.page.visits.length}`;
    if (this.streams.at(-1)?.name !== name) {
      this.streams.push({ name, next: 0, confirmed: new Set() });
    }
    return this.streams.at(-1);
  }

  #send(stream) {
    const number = stream.next++;
    const receipt = `${stream.name}-${number}`;
    this.page.client.watchForReceipt(receipt, () => stream.confirmed.add(number));
    const headers = { from: stream.name, receipt };
    this.page.client.publish({ destination: this.topic, body: String(number), headers });
  }

  async stop() {
    this.#stopped = true;
    await this.done;
    await this.page.request(this.topic, `the end of ${this.name}`);
  }
}

describe("A rolling restart", () => {
  test("pages move, and each visit hears every message that it was promised, once and in order", async () => {
    const topic = freshTopic();
    const talkers = await Promise.all([0, 1, 2].map((i) => new Talker(topic, `talker-${i}`).start()));
    const streams = () => talkers.flatMap((talker) => talker.streams);
    const sentBefore = new Map(); // visit -> stream -> how many had been sent when the subscription was confirmed
    const onSubscribed = (visit) => sentBefore.set(visit, new Map(streams().map((stream) => [stream, stream.next])));
    const readers = await Promise.all(
      Array.from({ length: PAGES }, () =>
        new Page(proxy.ports.web, { destinations: [topic], onSubscribed }).start(),
      ),
    );
    await sleep(300);

    const confirmedBefore = new Map(); // visit -> stream -> what had been confirmed when its node was told to end
    for (const node of cluster.nodes) {
      const confirmed = new Map(streams().map((stream) => [stream, Math.max(-1, ...stream.confirmed)]));
      readers.filter((page) => page.node === node.node).forEach(({ visit }) => confirmedBefore.set(visit, confirmed));
      await node.stop();
      await cluster.startNode(node);
      await proxy.untilServers("UP");
    }
    await Promise.all(talkers.map((talker) => talker.stop()));
    await Promise.all(readers.flatMap((page) => talkers.map(({ name }) => page.hears(`the end of ${name}`))));

    const visits = readers.flatMap((page) => page.visits);
    assert.ok(visits.length >= 2 * PAGES, `${visits.length} visits of ${PAGES} pages`);
    assert.ok(visits.every(({ code }) => code === null || code === 1012));
    for (const visit of visits) {
      for (const stream of streams()) {
        const last = visit.code === null ? Math.max(-1, ...stream.confirmed) : confirmedBefore.get(visit)?.get(stream);
        checkHeard(visit, stream, sentBefore.get(visit)?.get(stream) ?? 0, last ?? -1);
      }
    }
    await Promise.all([...readers, ...talkers.map(({ page }) => page)].map((page) => page.stop()));
  });
});

/**
 * Nothing is doubled or out of order. Of what was confirmed to the talker nothing is missing, from the first that was
 * sent after the subscription was confirmed, to the last that was heard, or to `last` where that is later.
 */
function checkHeard(visit, stream, first, last) {
  const what = `${stream.name} as ${visit.session} heard it`;
  const heard = heardOf(visit, stream);
  assertInOrder(heard, what);
  const missed = missing(heard, first, Math.max(last, heard.at(-1) ?? -1) + 1);
  assert.deepEqual(missed.filter((number) => stream.confirmed.has(number)), [], what);
}
