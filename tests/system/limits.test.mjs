// Limits: who goes over one gets an ERROR that names its conf key, and is closed with the code that fits; who stays
// just below does not.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { useDaemon } from "./lib/daemon.mjs";
import { request, upgrade } from "./lib/http.mjs";
import { connect, freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

const daemon = useDaemon({
  limits: {
    "frame-size": 4000,
    "body-size": 2000,
    "frame-size-before-login": "1k",
    headers: 10,
    "header-size": 500,
    subscriptions: 5,
    transactions: 2,
    "transaction-frames": 3,
    "transaction-size": 5000,
  },
});

const POLICY = 1008;
const SIZE = 1009;

const destination = freshTopic();
const headersOf = (count, length = 1) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`h${i}`, "x".repeat(length)]));

for (const transport of TRANSPORTS) {
  const open = () => connect(daemon, transport);

  describe(`Sizes over ${transport.name}`, () => {
    test("all at their limits is served", async () => {
      const session = await open();
      await session.request("SEND", { destination }, "x".repeat(2000));
      await session.request("SEND", { destination }, Buffer.alloc(2000));
      await session.request("SEND", { destination, ...headersOf(8) });
      await session.request("SEND", { destination, long: "x".repeat(490) });
      session.drop();
    });

    const over = [
      ["body-size", { destination }, "x".repeat(2001)],
      ["body-size", { destination, "content-length": 2001 }, "", "with content-length, before the body comes"],
      ["headers", { destination, ...headersOf(10) }, ""],
      ["header-size", { destination, long: "x".repeat(500) }, ""],
      ["frame-size", { destination, ...headersOf(9, 480) }, ""],
    ];
    for (const [limit, headers, body, how = ""] of over) {
      test(`${limit} ${how}`, async () => {
        const session = await open();
        session.send("SEND", headers, body);
        await session.expectError(new RegExp(`\\b${limit}\\b`), SIZE);
      });
    }

    test("a command line without an end", async () => {
      const session = await open();
      session.sendRaw("X".repeat(600));
      await session.expectError(/header-size/, SIZE);
    });

    test("frame-size-before-login", async () => {
      const session = await transport.open(daemon);
      session.send("CONNECT", { "accept-version": "1.2", ...headersOf(3, 400) });
      await session.expectError(/frame-size-before-login/, SIZE);
    });
  });

  describe(`A session's limits over ${transport.name}`, () => {
    test("subscriptions", async () => {
      const session = await open();
      for (let id = 0; id < 5; id++) {
        await session.subscribe(destination, String(id));
      }
      await session.request("UNSUBSCRIBE", { id: "0" });
      await session.subscribe(destination, "5");
      session.send("SUBSCRIBE", { destination, id: "6" });
      await session.expectError(/\bsubscriptions\b/, POLICY);
    });

    test("transactions", async () => {
      const session = await open();
      await session.request("BEGIN", { transaction: "a" });
      await session.request("BEGIN", { transaction: "b" });
      await session.request("COMMIT", { transaction: "a" });
      await session.request("BEGIN", { transaction: "c" });
      session.send("BEGIN", { transaction: "d" });
      await session.expectError(/\btransactions\b/, POLICY);
    });

    test("transaction-frames", async () => {
      const session = await open();
      await session.subscribe(destination, "0", { ack: "client" });
      await session.request("SEND", { destination });
      await session.expect("MESSAGE");
      await session.request("BEGIN", { transaction: "t" });
      await session.request("SEND", { destination, transaction: "t" });
      await session.request("ACK", { id: "1", transaction: "t" });
      await session.request("NACK", { id: "1", transaction: "t" });
      session.send("SEND", { destination, transaction: "t" });
      await session.expectError(/transaction-frames/, POLICY);
    });

    test("transaction-size, of all that are open", async () => {
      const session = await open();
      await session.request("BEGIN", { transaction: "a" });
      await session.request("BEGIN", { transaction: "b" });
      await session.request("SEND", { destination, transaction: "a" }, "x".repeat(2000));
      await session.request("SEND", { destination, transaction: "b" }, "x".repeat(2000));
      session.send("SEND", { destination, transaction: "b" }, "x".repeat(2000));
      await session.expectError(/transaction-size/, POLICY);
    });

    test("transaction-size is given back by COMMIT and ABORT", async () => {
      const session = await open();
      for (const end of ["COMMIT", "ABORT", "COMMIT"]) {
        await session.request("BEGIN", { transaction: "t" });
        await session.request("SEND", { destination, transaction: "t" }, "x".repeat(2000));
        await session.request("SEND", { destination, transaction: "t" }, "x".repeat(2000));
        await session.request(end, { transaction: "t" });
      }
      session.drop();
    });
  });
}

test("body-size counts over several WebSocket messages and fragments", async () => {
  const session = await connect(daemon, overWebSocket);
  session.sendRaw(`SEND\ndestination:${destination}\n\n`);
  for (let i = 0; i < 3; i++) {
    session.socket.send("x".repeat(400), { fin: false });
    session.socket.send("x".repeat(400), { fin: true });
  }
  await session.expectError(/body-size/, SIZE);
});

describe("outbox-size", () => {
  const small = useDaemon({ limits: { "outbox-size": "64k" } });

  for (const transport of TRANSPORTS) {
    test(`one message always fits over ${transport.name}`, async () => {
      const session = await connect(small, transport);
      const topic = freshTopic();
      await session.subscribe(topic);
      session.send("SEND", { destination: topic }, "x".repeat(200_000));
      assert.equal((await session.expect("MESSAGE")).text.length, 200_000);
      session.drop();
    });

    test(`over ${transport.name} a session that gets more at once than fits is cut, its publisher is not`, async () => {
      const [subscriber, publisher] = [await connect(small, transport), await connect(small, transport)];
      const topic = freshTopic();
      await subscriber.subscribe(topic);
      subscriber.pause();
      for (let i = 0; i < 100; i++) {
        await publisher.request("SEND", { destination: topic }, "x".repeat(200_000));
      }
      subscriber.resume();
      await subscriber.waitFor("the end of the connection", () => subscriber.closed);
      const last = subscriber.frames.at(-1);
      if (last.command === "ERROR") {
        assert.match(last.headers.message, /outbox-size/);
      }
      await publisher.request("SEND", { destination: topic });
      publisher.drop();
    });
  }
});

describe("connections", () => {
  const full = useDaemon({ limits: { connections: 3 } });

  /** The daemon notices a socket's end a little later than its client does. */
  async function connectWhenFree(transport) {
    for (;;) {
      try {
        return await connect(full, transport);
      } catch (error) {
        assert.match(error.message, /503|connections|has ended/);
        await sleep(20);
      }
    }
  }

  test("one too many is refused with a word, and a place that is free again is given away", async () => {
    const sessions = [];
    for (const transport of [overTcp, overWebSocket, overTcp]) {
      sessions.push(await connectWhenFree(transport));
    }
    const answer = await upgrade(full.ports.web);
    assert.equal(answer.status, 503);
    assert.match(answer.body, /connections/);
    assert.equal((await request(full.ports.web, { path: "/" })).status, 503);
    const refused = await overTcp.open(full);
    await refused.expectError(/connections/);
    for (const session of sessions) {
      await session.request("DISCONNECT");
      await session.expectClose(1000);
    }
    await connectWhenFree(overTcp);
    await connectWhenFree(overWebSocket);
  });
});
