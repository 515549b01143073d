// Slow readers and fast publishers: what waits for a socket arrives whole and in order, however little the socket takes
// at a time, and publishers that outrun the workers are held back, not dropped. What is too much for an outbox is in
// limits and badinput.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { useCertificate } from "./lib/certificate.mjs";
import { useDaemon } from "./lib/daemon.mjs";
import { Random } from "./lib/random.mjs";
import { openTcp } from "./lib/tcp.mjs";
import { freshTopic } from "./lib/transports.mjs";
import { openWs } from "./lib/ws.mjs";

const { conf: tls, ca } = useCertificate();

const daemon = useDaemon({
  "listen web": { deflate: "yes" },
  "listen secure-web": { protocol: "ws", path: "/ws", deflate: "yes", ...tls },
  "listen secure-plain": { protocol: "stomp", ...tls },
  limits: { "outbox-size": "64m" },
});

const perMessageDeflate = { threshold: 0 };
const WAYS = {
  WebSocket: () => openWs(daemon.ports.web),
  "WebSocket with deflate": () => openWs(daemon.ports.web, { perMessageDeflate }),
  "WebSocket over TLS": () => openWs(daemon.ports["secure-web"], { ca }),
  "WebSocket with deflate over TLS": () => openWs(daemon.ports["secure-web"], { ca, perMessageDeflate }),
  TCP: () => openTcp(daemon.ports.plain),
  "TCP over TLS": () => openTcp(daemon.ports["secure-plain"], { ca }),
};

async function connect(way) {
  const session = await WAYS[way]();
  return session.connect();
}

describe("A reader that pauses", () => {
  const COUNT = 400;

  /** Text and binary, of very different sizes; about 12 MB in all, more than sockets hold. */
  function bodies() {
    const random = new Random(1);
    return Array.from({ length: COUNT }, (_, n) => {
      const body = Buffer.concat(Array.from({ length: random.below(60) + 1 }, () => random.bytes(1000)));
      return n % 2 === 0 ? body : Buffer.from(body.toString("hex").slice(0, body.length));
    });
  }

  for (const way of Object.keys(WAYS)) {
    test(`gets all that came meanwhile, whole and in order, over ${way}`, async () => {
      const [reader, publisher] = [await connect(way), await connect("TCP")];
      const topic = freshTopic();
      await reader.subscribe(topic);
      reader.pause();
      const sent = bodies();
      for (const body of sent) {
        publisher.send("SEND", { destination: topic }, body);
      }
      await publisher.request("SEND", { destination: freshTopic() });
      reader.resume();
      await reader.waitFor("all messages", () => reader.frames.length === COUNT);
      sent.forEach((body, n) => assert.ok(reader.frames[n].body.equals(body), `message ${n}`));
      await reader.request("DISCONNECT");
      await reader.expectClose(1000);
      publisher.drop();
    });
  }
});

describe("A slow reader", { concurrency: true }, () => {
  const COUNT = 32;
  const SIZE = 1 << 20;
  const beating = useDaemon({
    "listen secure-plain": { protocol: "stomp", ...tls },
    server: { "heart-beat-receive": "500ms" }, // so that it is given up after 1.5 s
    limits: { "outbox-size": "64m", "frame-size": "2m", "body-size": "2m" },
  });
  const ways = {
    TCP: () => openTcp(beating.ports.plain),
    "TCP over TLS": () => openTcp(beating.ports["secure-plain"], { ca }),
  };

  for (const [way, open] of Object.entries(ways)) {
    test(`is not taken for a silent one, over ${way}`, async () => {
      const [reader, publisher] = [await open(), await openTcp(beating.ports.plain)];
      await Promise.all([reader.connect({ "heart-beat": "500,0" }), publisher.connect()]);
      const topic = freshTopic();
      await reader.subscribe(topic);
      const beats = setInterval(() => reader.sendRaw("\n"), 250);
      const began = Date.now();
      reader.pause();
      for (let n = 0; n < COUNT; n++) {
        await publisher.request("SEND", { destination: topic }, Buffer.alloc(SIZE));
      }
      let wanted = 0;
      reader.socket.on("data", () => reader.bytesReceived >= wanted && reader.pause());
      while (reader.frames.length < COUNT && reader.closed === null) {
        wanted = reader.bytesReceived + SIZE;
        reader.resume();
        await sleep(100);
      }
      assert.equal(reader.frames.length, COUNT);
      assert.ok(Date.now() - began > 2000);
      clearInterval(beats);
      [reader, publisher].forEach((session) => session.drop());
    });
  }
});

describe("Publishers that do not wait", () => {
  test("lose nothing, each in its order", async () => {
    const each = 3000;
    const publishers = await Promise.all(["TCP", "WebSocket", "TCP", "WebSocket over TLS"].map(connect));
    const readers = await Promise.all(["WebSocket", "TCP", "TCP over TLS"].map(connect));
    const topic = freshTopic();
    await Promise.all(readers.map((reader) => reader.subscribe(topic)));
    for (let n = 0; n < each; n++) {
      publishers.forEach((publisher, i) =>
        publisher.send("SEND", { destination: topic, publisher: i, n }, "x".repeat(200)),
      );
    }
    for (const reader of readers) {
      const next = publishers.map(() => 0);
      await reader.waitFor("all messages", () => reader.frames.length === each * publishers.length);
      for (const { headers } of reader.frames) {
        assert.equal(headers.n, String(next[headers.publisher]++));
      }
    }
    [...publishers, ...readers].forEach((session) => session.drop());
  });
});
