// What clients do wrong with queues gets an ERROR that says so, or changes nothing. It costs only the one who did it: what
// that one had not settled comes back, and the queue goes on for the others.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import { useDaemon } from "./lib/daemon.mjs";
import { ack, freshQueue, leftIn, mustStayQuiet, nack, put, settling, take, textsOf } from "./lib/queue.mjs";
import { connect, overTcp, TRANSPORTS } from "./lib/transports.mjs";

const conf = {
  limits: { prefetch: 50, transactions: 2, "transaction-frames": 5, "transaction-size": 5000, subscriptions: 10 },
  "destination /queue/small.**": { "max-messages": 2 },
  "destination /queue/tiny.**": { "max-bytes": "1k" },
};
const daemon = useDaemon(conf, meetOthers);

const PROTOCOL = 1002;
const POLICY = 1008;
const INDIVIDUAL = { ack: "client-individual" };

/** Others, who must not notice anything: one consumes what the other sends. */
let others;
async function meetOthers() {
  const queue = freshQueue("others");
  others = { queue, consumer: await connect(daemon, overTcp), sender: await connect(daemon, overTcp), count: 0 };
  await others.consumer.subscribe(queue, "0", { ack: "client" });
}
after(() => [others.consumer, others.sender].forEach((session) => session.drop()));

async function othersGoOn() {
  const { queue, consumer, sender } = others;
  const text = String(++others.count);
  await put(sender, queue, [text]);
  const message = await consumer.expect("MESSAGE");
  assert.equal(message.text, text);
  await ack(consumer, message);
  assert.deepEqual([...consumer.frames, ...sender.frames], []);
}

/** A session that has taken a and b, and settled neither. */
async function holding(transport, { version = "1.2", mode = "client-individual" } = {}) {
  const queue = freshQueue();
  const session = await connect(daemon, transport, { version });
  await session.subscribe(queue, "0", { ack: mode });
  await put(session, queue, ["a", "b"]);
  return { queue, session, messages: await take(session, 2) };
}

async function comesBack(queue) {
  const other = await connect(daemon, overTcp);
  await other.subscribe(queue, "0", INDIVIDUAL);
  const messages = await take(other, 2);
  assert.deepEqual(textsOf(messages).sort(), ["a", "b"]);
  messages.forEach(({ headers }) => assert.equal(headers["delivery-count"], "2"));
  other.drop();
}

for (const transport of TRANSPORTS) {
  /** The ERROR closes the session; both of its messages are there for another, and others do not notice. */
  const refused = async ({ session, queue }, message, code = PROTOCOL) => {
    const error = await session.expectError(message, code);
    assert.deepEqual(session.frames, []);
    await comesBack(queue);
    await othersGoOn();
    return error;
  };

  describe(`Refused over ${transport.name}`, () => {
    const rows = [
      ["ACK of an id that was never given out", "ACK", { id: "no-such-id" }, /ack|message/i],
      ["ACK of a number that was never given out", "ACK", { id: "18446744073709551615" }, /ack|message/i],
      ["NACK of an id that was never given out", "NACK", { id: "no-such-id" }, /ack|message/i],
      ["ACK of an empty id", "ACK", { id: "" }, /\bid\b|ack|message/i],
      ["COMMIT without BEGIN", "COMMIT", { transaction: "t" }, /transaction/],
      ["ABORT without BEGIN", "ABORT", { transaction: "t" }, /transaction/],
      [
        "a SEND in a transaction that is not open",
        "SEND",
        { destination: "/queue/x", transaction: "t" },
        /transaction/,
      ],
      ["SEND to a queue without a name", "SEND", { destination: "/queue/" }, /\/queue\//],
      ["SEND to a queue with a line end in its name", "SEND", { destination: "/queue/a\nb" }, /destination|control/],
      ["SUBSCRIBE to a queue without a name", "SUBSCRIBE", { destination: "/queue/", id: "1" }, /\/queue\//],
      ["SUBSCRIBE with an id that is in use", "SUBSCRIBE", { destination: "/queue/x", id: "0" }, /\bid\b/],
      ["an unknown ack mode", "SUBSCRIBE", { destination: "/queue/x", id: "1", ack: "sometimes" }, /ack/],
      ...["many", "-1", "1.5", "0x10", " 1", "1 ", ""].map((count) => [
        `prefetch-count ${JSON.stringify(count)}`,
        "SUBSCRIBE",
        { destination: "/queue/x", id: "1", "prefetch-count": count },
        /prefetch-count/,
      ]),
      ...["expiration", "x-message-ttl", "expires"].flatMap((name) =>
        ["soon", "-1", "1e3"].map((value) => [
          `${name} ${JSON.stringify(value)}`,
          "SEND",
          { destination: "/queue/never-stored", [name]: value },
          new RegExp(name),
        ]),
      ),
    ];
    for (const [what, command, headers, message] of rows) {
      test(what, async () => {
        const held = await holding(transport);
        held.session.send(command, { ...headers, receipt: "refused" });
        const error = await refused(held, message);
        assert.equal(error.headers["receipt-id"], "refused");
      });
    }

    test("nothing of these was stored", async () => {
      assert.deepEqual(await leftIn(daemon, "/queue/never-stored"), []);
    });

    test("NACK in 1.0", async () => {
      const held = await holding(transport, { version: "1.0", mode: "client" });
      held.session.send("NACK", settling("1.0", held.messages[0]));
      await refused(held, /NACK/);
    });

    test("NACK with a requeue that is neither true nor false", async () => {
      const held = await holding(transport);
      held.session.send("NACK", { ...settling("1.2", held.messages[0]), requeue: "maybe" });
      await refused(held, /requeue/);
    });

    test("client-individual in 1.0", async () => {
      const held = await holding(transport, { version: "1.0", mode: "client" });
      held.session.send("SUBSCRIBE", { destination: "/queue/x", id: "1", ack: "client-individual" });
      await refused(held, /ack/);
    });

    test("ACK of another session's message", async () => {
      const held = await holding(transport);
      const thief = await connect(daemon, transport);
      thief.send("ACK", settling("1.2", held.messages[0]));
      await thief.expectError(/ack|message/i, PROTOCOL);
      held.session.drop();
      await comesBack(held.queue);
    });

    test("a full queue, in a SEND", async () => {
      const held = await holding(transport);
      const full = freshQueue("small");
      held.session.send("SEND", { destination: full }, "1");
      held.session.send("SEND", { destination: full }, "2");
      held.session.send("SEND", { destination: full }, "3");
      await refused(held, new RegExp(full), POLICY);
      assert.deepEqual(textsOf(await takeAll(full, 2)), ["1", "2"]);
    });

    test("a full queue, in a COMMIT", async () => {
      const held = await holding(transport);
      const full = freshQueue("small");
      await held.session.request("BEGIN", { transaction: "t" });
      for (let i = 0; i < 3; i++) {
        await held.session.request("SEND", { destination: full, transaction: "t" });
      }
      await held.session.request("ACK", { ...settling("1.2", held.messages[0]), transaction: "t" });
      held.session.send("COMMIT", { transaction: "t" });
      await refused(held, /full/, POLICY);
      assert.deepEqual(await leftIn(daemon, full), []);
    });

    test("a message that is too large for its queue at all", async () => {
      const held = await holding(transport);
      const tiny = freshQueue("tiny");
      held.session.send("SEND", { destination: tiny }, "x".repeat(2000));
      await refused(held, new RegExp(tiny), POLICY);
    });

    test("more ACKs in a transaction than transaction-frames", async () => {
      const held = await holding(transport);
      await held.session.request("BEGIN", { transaction: "t" });
      const headers = { ...settling("1.2", held.messages[0]), transaction: "t" };
      for (let i = 0; i < 6; i++) {
        held.session.send("ACK", headers);
      }
      await refused(held, /transaction-frames/, POLICY);
    });

    test("more SENDs in a transaction than transaction-frames", async () => {
      const held = await holding(transport);
      const queue = freshQueue();
      await held.session.request("BEGIN", { transaction: "t" });
      for (let i = 0; i < 6; i++) {
        held.session.send("SEND", { destination: queue, transaction: "t" });
      }
      await refused(held, /transaction-frames/, POLICY);
      assert.deepEqual(await leftIn(daemon, queue), []);
    });

    test("more bytes in a transaction than transaction-size", async () => {
      const held = await holding(transport);
      const queue = freshQueue();
      await held.session.request("BEGIN", { transaction: "t" });
      for (let i = 0; i < 3; i++) {
        held.session.send("SEND", { destination: queue, transaction: "t" }, "x".repeat(2000));
      }
      await refused(held, /transaction-size/, POLICY);
      assert.deepEqual(await leftIn(daemon, queue), []);
    });

    test("more transactions than `transactions`", async () => {
      const held = await holding(transport);
      for (const transaction of ["t", "u", "v"]) {
        held.session.send("BEGIN", { transaction });
      }
      await refused(held, /\btransactions\b/, POLICY);
    });

    test("more subscriptions than `subscriptions`", async () => {
      const held = await holding(transport);
      for (let id = 1; id <= 10; id++) {
        held.session.send("SUBSCRIBE", { id, destination: freshQueue() });
      }
      await refused(held, /\bsubscriptions\b/, POLICY);
    });
  });

  describe(`Without effect over ${transport.name}`, () => {
    /** Both of its messages are its own still. */
    const unchanged = async ({ session, queue }) => {
      await mustStayQuiet(session);
      session.drop();
      await comesBack(queue);
      await othersGoOn();
    };

    test("ACK and NACK of what is settled already", async () => {
      const held = await holding(transport);
      await put(held.session, held.queue, ["c"]);
      const [extra] = await take(held.session, 1);
      await ack(held.session, extra);
      await ack(held.session, extra);
      await nack(held.session, extra);
      await unchanged(held);
    });

    for (const [command, settle] of [
      ["ACK", ack],
      ["NACK", nack],
    ]) {
      test(`${command} of a message that an open transaction settles`, async () => {
        const held = await holding(transport);
        await held.session.request("BEGIN", { transaction: "t" });
        await ack(held.session, held.messages[0], { transaction: "t" });
        await settle(held.session, held.messages[0]);
        await held.session.request("ABORT", { transaction: "t" });
        await unchanged(held);
      });
    }

    for (const version of ["1.0", "1.1"]) {
      test(`${version}: ACK of another session's message, whose id tells nothing`, async () => {
        const held = await holding(transport, { version, mode: "client" });
        const thief = await connect(daemon, transport, { version });
        await thief.subscribe(freshQueue(), "0", { ack: "client" });
        await ack(thief, held.messages[1]);
        thief.drop();
        await unchanged(held);
      });
    }

    test("1.1: ACK that names another subscription of the session", async () => {
      const held = await holding(transport, { version: "1.1", mode: "client" });
      await held.session.subscribe(freshQueue(), "other", { ack: "client" });
      await held.session.request("ACK", { ...settling("1.1", held.messages[1]), subscription: "other" });
      await unchanged(held);
    });

    test("ACK of a message in ack:auto, in 1.1", async () => {
      const queue = freshQueue();
      const session = await connect(daemon, transport, { version: "1.1" });
      await session.subscribe(queue);
      await put(session, queue, ["a"]);
      const [message] = await take(session, 1);
      await ack(session, message);
      await mustStayQuiet(session);
      session.drop();
    });

    test("ACK after UNSUBSCRIBE, of what is with another by then", async () => {
      const held = await holding(transport);
      const other = await connect(daemon, overTcp);
      await other.subscribe(held.queue, "0", INDIVIDUAL);
      await held.session.request("UNSUBSCRIBE", { id: "0" });
      const messages = await take(other, 2);
      for (const message of held.messages) {
        await ack(held.session, message);
      }
      await nack(other, messages[0]);
      assert.equal((await other.expect("MESSAGE")).headers["delivery-count"], "3");
      [held.session, other].forEach((session) => session.drop());
    });

    test("UNSUBSCRIBE of an id that is not there", async () => {
      const held = await holding(transport);
      await held.session.request("UNSUBSCRIBE", { id: "no-such-id" });
      await unchanged(held);
    });
  });
}

/** Takes so many out of a queue that may be full. */
async function takeAll(queue, count) {
  const session = await connect(daemon, overTcp);
  await session.subscribe(queue, "0", { ack: "client" });
  const messages = await take(session, count);
  await ack(session, messages.at(-1));
  await session.request("DISCONNECT");
  return messages;
}

describe("All queues of a node together", () => {
  const small = useDaemon({ limits: { "queue-memory": "1m" } });

  test("take no more than queue-memory, which is said, and are served when there is room again", async () => {
    const sender = await connect(small, overTcp);
    const body = "x".repeat(100_000);
    const queues = Array.from({ length: 20 }, () => freshQueue());
    queues.forEach((destination) => sender.send("SEND", { destination, receipt: destination }, body));
    const error = await sender.expectError(/full/, POLICY);
    const stored = sender.frames.map(({ headers }) => headers["receipt-id"]);
    assert.ok(stored.length >= 5 && stored.length <= 10, `${stored.length} of 100 kB are stored`);
    assert.equal(error.headers["receipt-id"], queues[stored.length]);
    assert.deepEqual(stored, queues.slice(0, stored.length));
    const consumer = await connect(small, overTcp);
    await consumer.subscribe(queues[0], "0", INDIVIDUAL);
    await ack(consumer, await consumer.expect("MESSAGE"));
    await put(consumer, queues[0], [body]);
    assert.equal((await consumer.expect("MESSAGE")).text, body);
    consumer.drop();
  });
});
