// Queues on one node, in memory: each message to one consumer, kept until it is acknowledged; how it comes back, when
// it is given up, what a full queue does, and transactions. Over Redis and several nodes it is queues-cluster.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { useDaemon } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { ack, freshQueue, leftIn, mustStayQuiet, nack, put, roundTrip, take, textsOf } from "./lib/queue.mjs";
import { openClient, publish, receipted, subscribe } from "./lib/stompjs.mjs";
import { connect, freshTopic, overTcp, TRANSPORTS } from "./lib/transports.mjs";

const PREFETCH_MAX = 150;
const PREFETCH_DEFAULT = 100;

const daemon = useDaemon({
  limits: { prefetch: PREFETCH_MAX },
  "destination /queue/refuse.**": { "max-messages": 3 },
  "destination /queue/oldest.**": { "max-messages": 3, "when-full": "drop-oldest" },
  "destination /queue/buries.**": { "max-messages": 3, "when-full": "dead-letter" },
  "destination /queue/bytes.**": { "max-bytes": "10k" },
  "destination /queue/twice.**": { "max-deliveries": 2 },
  "destination /queue/ever.**": { "max-deliveries": 0 },
  "destination /queue/grave.**": { "dead-letter": "/queue/graveyard" },
  "destination /queue/aged.**": { "max-age": "200ms" },
});

const VERSIONS = ["1.0", "1.1", "1.2"];
const INDIVIDUAL = { ack: "client-individual" };

const numbers = (count) => Array.from({ length: count }, (_, i) => String(i));
const deadLettersOf = (queue) => leftIn(daemon, `${queue}.dead`);

/** What says that a message was delivered before. */
const historyOf = ({ headers }) => [headers.redelivered, headers["delivery-count"]];
const FRESH = [undefined, undefined];

for (const transport of TRANSPORTS) {
  const open = (version = "1.2") => connect(daemon, transport, { version });
  const consume = async (queue, headers = {}, version = "1.2") => {
    const session = await open(version);
    await session.subscribe(queue, "0", headers);
    return session;
  };

  describe(`A queue over ${transport.name}`, () => {
    test("gives each message to one of its consumers", async () => {
      const queue = freshQueue();
      const consumers = [await consume(queue), await consume(queue), await consume(queue)];
      await consumers[0].subscribe(queue, "a second one");
      await put(consumers[0], queue, numbers(80));
      const count = () => consumers.reduce((sum, { frames }) => sum + frames.length, 0);
      await eventually("80 messages", () => count() >= 80);
      await Promise.all(consumers.map((consumer) => roundTrip(consumer)));
      const texts = consumers.flatMap(({ frames }) => textsOf(frames));
      assert.deepEqual(
        texts.sort((a, b) => a - b),
        numbers(80),
      );
      consumers.forEach((consumer) => consumer.drop());
    });

    test("keeps what is sent until somebody subscribes, in the order of the SENDs", async () => {
      const queue = freshQueue();
      const sender = await open();
      await put(sender, queue, numbers(1000));
      const consumer = await consume(queue);
      assert.deepEqual(textsOf(await take(consumer, 1000)), numbers(1000));
      await mustStayQuiet(consumer);
      [sender, consumer].forEach((session) => session.drop());
    });

    test("gives a RECEIPT for each SEND, in their order", async () => {
      const session = await open();
      const destination = freshQueue();
      session.sendRaw(Buffer.concat(numbers(50).map((receipt) => encodeFrame("SEND", { destination, receipt }))));
      await session.waitFor("all receipts", () => session.frames.length === 50);
      assert.deepEqual(
        session.frames.map(({ headers }) => headers["receipt-id"]),
        numbers(50),
      );
      assert.equal((await leftIn(daemon, destination)).length, 50);
      session.drop();
    });

    for (const version of VERSIONS) {
      const modes = version === "1.0" ? ["auto", "client"] : ["auto", "client", "client-individual"];
      for (const mode of modes) {
        const hasAck = version === "1.2" && mode !== "auto";
        test(`${version}, ack:${mode}: a MESSAGE is as it was sent, ${hasAck ? "with an" : "without"} ack`, async () => {
          const queue = freshQueue();
          const consumer = await consume(queue, { ack: mode }, version);
          const body = Buffer.from("a\0b\xff", "latin1");
          await consumer.request("SEND", { destination: queue, "x-custom": "value", persistent: "true" }, body);
          const message = await consumer.expect("MESSAGE");
          assert.deepEqual(message.body, body);
          assert.equal(message.headers.destination, queue);
          assert.equal(message.headers.subscription, "0");
          assert.equal(message.headers["x-custom"], "value");
          assert.equal(message.headers.persistent, "true");
          assert.equal(message.headers.receipt, undefined);
          assert.equal(message.headers.ack !== undefined, hasAck);
          assert.deepEqual(historyOf(message), FRESH);
          consumer.drop();
        });
      }
    }

    test("1.0: a consumer needs no id", async () => {
      const queue = freshQueue();
      const consumer = await open("1.0");
      await consumer.request("SUBSCRIBE", { destination: queue, ack: "client" });
      await put(consumer, queue, ["a"]);
      const message = await consumer.expect("MESSAGE");
      assert.equal(message.headers.subscription, undefined);
      await ack(consumer, message);
      await consumer.request("UNSUBSCRIBE", { destination: queue });
      assert.deepEqual(await leftIn(daemon, queue), []);
      consumer.drop();
    });

    test("has message ids that are unique", async () => {
      const queue = freshQueue();
      const consumer = await consume(queue);
      await put(consumer, queue, numbers(200));
      const messages = await take(consumer, 200);
      assert.equal(new Set(messages.map(({ headers }) => headers["message-id"])).size, 200);
      consumer.drop();
    });

    test("lets no SEND forge what the server says", async () => {
      const queue = freshQueue();
      const names = ["message-id", "subscription", "ack", "redelivered", "delivery-count", "user", "session", "node"];
      names.push("dead-letter-from", "dead-letter-reason");
      const consumer = await consume(queue);
      const forged = Object.fromEntries(names.map((name) => [name, "forged"]));
      await consumer.request("SEND", { destination: queue, ...forged, other: "kept" });
      const { pairs, headers } = await consumer.expect("MESSAGE");
      assert.deepEqual(
        pairs.filter(([, value]) => value === "forged"),
        [],
      );
      assert.equal(headers.other, "kept");
      consumer.drop();
    });
  });

  describe(`Acknowledgement over ${transport.name}`, () => {
    /** A consumer that has taken a, b, c and d, and their queue. */
    const withFour = async (version, mode) => {
      const queue = freshQueue();
      const consumer = await consume(queue, { ack: mode }, version);
      await put(consumer, queue, ["a", "b", "c", "d"]);
      return { queue, consumer, messages: await take(consumer, 4) };
    };

    /** What another consumer gets when this one has gone. */
    const comesBack = async (consumer, queue, count) => {
      const other = await consume(queue, INDIVIDUAL);
      consumer.drop();
      const messages = await take(other, count);
      await mustStayQuiet(other);
      await other.request("UNSUBSCRIBE", { id: "0" });
      other.drop();
      return messages;
    };

    for (const version of VERSIONS) {
      test(`${version}, ack:auto: a message that was written is settled`, async () => {
        const { queue, consumer } = await withFour(version, "auto");
        await comesBack(consumer, queue, 0);
        assert.deepEqual(await leftIn(daemon, queue), []);
      });

      test(`${version}, ack:client: ACK settles it and all that the subscription got before`, async () => {
        const { queue, consumer, messages } = await withFour(version, "client");
        await ack(consumer, messages[2]);
        assert.deepEqual(textsOf(await comesBack(consumer, queue, 1)), ["d"]);
      });
    }

    test("ack:client: ACK leaves the session's other subscriptions alone", async () => {
      const { queue, consumer } = await withFour("1.2", "client");
      const otherQueue = freshQueue();
      await consumer.subscribe(otherQueue, "other", { ack: "client" });
      await put(consumer, otherQueue, ["x"]);
      await take(consumer, 1, { subscription: "other" });
      await put(consumer, queue, ["e"]);
      const [last] = await take(consumer, 1);
      await ack(consumer, last);
      assert.deepEqual(textsOf(await comesBack(consumer, otherQueue, 1)), ["x"]);
      assert.deepEqual(await leftIn(daemon, queue), []);
    });

    for (const version of ["1.1", "1.2"]) {
      test(`${version}, ack:client-individual: ACK settles one, whatever the order`, async () => {
        const { queue, consumer, messages } = await withFour(version, "client-individual");
        await ack(consumer, messages[3]);
        await ack(consumer, messages[1]);
        assert.deepEqual(textsOf(await comesBack(consumer, queue, 2)), ["a", "c"]);
      });

      test(`${version}: NACK gives it back, and it comes again as the same message`, async () => {
        const { consumer, messages } = await withFour(version, "client-individual");
        await nack(consumer, messages[1]);
        const [second] = await take(consumer, 1);
        assert.equal(second.text, "b");
        assert.deepEqual(historyOf(second), ["true", "2"]);
        assert.equal(second.headers["message-id"], messages[1].headers["message-id"]);
        await nack(consumer, second);
        const [third] = await take(consumer, 1);
        assert.deepEqual(historyOf(third), ["true", "3"]);
        if (version === "1.2") {
          assert.equal(new Set([messages[1], second, third].map(({ headers }) => headers.ack)).size, 3);
        }
        await ack(consumer, third);
        await mustStayQuiet(consumer);
        consumer.drop();
      });

      test(`${version}, ack:client: NACK is cumulative too`, async () => {
        const { queue, consumer, messages } = await withFour(version, "client");
        const other = await consume(queue, { ...INDIVIDUAL, "prefetch-count": 3 });
        await nack(consumer, messages[2]);
        const back = [];
        await eventually("three messages", () => {
          [consumer, other].forEach(({ frames }) => back.push(...frames.splice(0)));
          return back.length >= 3;
        });
        await Promise.all([consumer, other].map(mustStayQuiet));
        assert.deepEqual(textsOf(back).sort(), ["a", "b", "c"]);
        back.forEach((message) => assert.deepEqual(historyOf(message), ["true", "2"]));
        [consumer, other].forEach((session) => session.drop());
      });

      test(`${version}: NACK with requeue:false buries it, with headers from where and why`, async () => {
        const { queue, consumer, messages } = await withFour(version, "client-individual");
        await nack(consumer, messages[1], { requeue: "false" });
        const [dead, ...others] = await deadLettersOf(queue);
        assert.deepEqual(others, []);
        assert.equal(dead.text, "b");
        assert.equal(dead.headers["dead-letter-from"], queue);
        assert.equal(dead.headers["dead-letter-reason"], "rejected");
        assert.deepEqual(textsOf(await comesBack(consumer, queue, 3)), ["a", "c", "d"]);
      });
    }

    test("1.2, ack:client: NACK with requeue:false rejects all that came before too", async () => {
      const { queue, consumer, messages } = await withFour("1.2", "client");
      await nack(consumer, messages[2], { requeue: "false" });
      assert.deepEqual(textsOf(await deadLettersOf(queue)), ["a", "b", "c"]);
      assert.deepEqual(textsOf(await comesBack(consumer, queue, 1)), ["d"]);
    });

    test("ACK and NACK of what is settled already change nothing", async () => {
      const { queue, consumer, messages } = await withFour("1.2", "client-individual");
      await ack(consumer, messages[0]);
      await ack(consumer, messages[0]);
      await nack(consumer, messages[0]);
      await nack(consumer, messages[0], { requeue: "false" });
      await mustStayQuiet(consumer);
      assert.deepEqual(textsOf(await comesBack(consumer, queue, 3)), ["b", "c", "d"]);
      assert.deepEqual(await deadLettersOf(queue), []);
    });
  });

  describe(`What a consumer leaves behind over ${transport.name}`, () => {
    const ways = {
      UNSUBSCRIBE: (session) => session.request("UNSUBSCRIBE", { id: "0" }),
      DISCONNECT: (session) => session.request("DISCONNECT"),
      "the loss of the socket": (session) => session.drop(),
      "the end of the socket": (session) => session.finish(),
      "an ERROR": (session) => session.sendRaw("NONSENSE\n\n\0"),
    };
    for (const [way, leave] of Object.entries(ways)) {
      test(`${way}: all that is not settled goes to another, in its order, as redelivered`, async () => {
        const queue = freshQueue();
        const consumer = await consume(queue, INDIVIDUAL);
        await put(consumer, queue, ["a", "b", "c", "d"]);
        const messages = await take(consumer, 4);
        await ack(consumer, messages[1]);
        const other = await consume(queue, INDIVIDUAL);
        await leave(consumer);
        const back = await take(other, 3);
        assert.deepEqual(textsOf(back), ["a", "c", "d"]);
        back.forEach((message) => assert.deepEqual(historyOf(message), ["true", "2"]));
        assert.equal(back[0].headers["message-id"], messages[0].headers["message-id"]);
        [consumer, other].forEach((session) => session.drop());
      });
    }

    test("what comes back goes before what waits, and the count goes on", async () => {
      const queue = freshQueue();
      const consumer = await open();
      await put(consumer, queue, ["a", "b"]);
      for (let count = 1; count <= 3; count++) {
        await consumer.subscribe(queue, "0", { ...INDIVIDUAL, "prefetch-count": 1 });
        const [message] = await take(consumer, 1);
        assert.equal(message.text, "a");
        assert.deepEqual(historyOf(message), count === 1 ? FRESH : ["true", String(count)]);
        await consumer.request("UNSUBSCRIBE", { id: "0" });
      }
      await consumer.subscribe(queue, "0", INDIVIDUAL);
      const last = await take(consumer, 2);
      assert.deepEqual(textsOf(last), ["a", "b"]);
      assert.deepEqual(last.map(historyOf), [["true", "4"], FRESH]);
      consumer.drop();
    });

    test("UNSUBSCRIBE: nothing comes after its RECEIPT, and late ACKs change nothing", async () => {
      const queue = freshQueue();
      const consumer = await consume(queue, INDIVIDUAL);
      await put(consumer, queue, ["a"]);
      const [message] = await take(consumer, 1);
      await consumer.request("UNSUBSCRIBE", { id: "0" });
      await ack(consumer, message);
      await put(consumer, queue, ["b"]);
      await mustStayQuiet(consumer);
      assert.deepEqual(textsOf(await leftIn(daemon, queue)), ["a", "b"]);
      consumer.drop();
    });
  });

  describe(`Transactions with queues over ${transport.name}`, () => {
    /** A session that has taken a message of one queue and answers it into another, all in transaction t. */
    const answering = async (command = "ACK", headers = {}) => {
      const [requests, answers] = [freshQueue(), freshQueue()];
      const session = await consume(requests, INDIVIDUAL);
      await put(session, requests, ["request"]);
      const [request] = await take(session, 1);
      const transaction = { transaction: "t" };
      await session.request("BEGIN", transaction);
      await session.request("SEND", { destination: answers, ...transaction }, "answer");
      await session.request(command, { id: request.headers.ack, ...transaction, ...headers });
      return { session, request, requests, answers };
    };

    test("COMMIT: SEND and ACK take effect together, and neither does before", async () => {
      const { session, requests, answers } = await answering();
      assert.deepEqual(await leftIn(daemon, answers), []);
      await session.request("COMMIT", { transaction: "t" });
      assert.deepEqual(textsOf(await leftIn(daemon, answers)), ["answer"]);
      await session.request("UNSUBSCRIBE", { id: "0" });
      assert.deepEqual(await leftIn(daemon, requests), []);
      session.drop();
    });

    test("COMMIT: SEND and NACK too", async () => {
      const { session, answers } = await answering("NACK");
      await mustStayQuiet(session);
      await session.request("COMMIT", { transaction: "t" });
      assert.deepEqual(textsOf(await leftIn(daemon, answers)), ["answer"]);
      const [again] = await take(session, 1);
      assert.deepEqual([again.text, ...historyOf(again)], ["request", "true", "2"]);
      session.drop();
    });

    test("COMMIT: SEND and NACK with requeue:false too", async () => {
      const { session, requests, answers } = await answering("NACK", { requeue: "false" });
      assert.deepEqual(await deadLettersOf(requests), []);
      await session.request("COMMIT", { transaction: "t" });
      assert.deepEqual(textsOf(await leftIn(daemon, answers)), ["answer"]);
      assert.deepEqual(textsOf(await deadLettersOf(requests)), ["request"]);
      session.drop();
    });

    test("ABORT: nothing is sent, and the message can be acknowledged still", async () => {
      const { session, request, requests, answers } = await answering();
      await session.request("ABORT", { transaction: "t" });
      assert.deepEqual(await leftIn(daemon, answers), []);
      await mustStayQuiet(session);
      await ack(session, request);
      await session.request("UNSUBSCRIBE", { id: "0" });
      assert.deepEqual(await leftIn(daemon, requests), []);
      session.drop();
    });

    for (const [way, leave] of [
      ["the loss of the socket", (session) => session.drop()],
      ["DISCONNECT", (session) => session.request("DISCONNECT")],
    ]) {
      test(`${way}: nothing is sent, and the message comes back`, async () => {
        const { session, requests, answers } = await answering();
        const other = await consume(requests, INDIVIDUAL);
        await leave(session);
        const [request] = await take(other, 1);
        assert.deepEqual([request.text, ...historyOf(request)], ["request", "true", "2"]);
        assert.deepEqual(await leftIn(daemon, answers), []);
        other.drop();
      });
    }

    test("the SENDs of one COMMIT are stored in their order, over several queues", async () => {
      const session = await open();
      const queues = [freshQueue(), freshQueue()];
      session.send("BEGIN", { transaction: "t" });
      numbers(20).forEach((text, i) => session.send("SEND", { destination: queues[i % 2], transaction: "t" }, text));
      await session.request("COMMIT", { transaction: "t" });
      assert.deepEqual(
        textsOf(await leftIn(daemon, queues[0])),
        numbers(20).filter((_, i) => i % 2 === 0),
      );
      assert.deepEqual(
        textsOf(await leftIn(daemon, queues[1])),
        numbers(20).filter((_, i) => i % 2 === 1),
      );
      session.drop();
    });

    test("a COMMIT with a queue that is full does nothing at all, on topics neither", async () => {
      const [full, other, topic] = [freshQueue("refuse"), freshQueue(), freshTopic()];
      const [session, reader] = [await open(), await open()];
      await reader.subscribe(topic);
      await put(session, full, ["1", "2"]);
      await session.request("BEGIN", { transaction: "t" });
      for (const destination of [topic, other, full, full]) {
        session.send("SEND", { destination, transaction: "t" }, "not to be seen");
      }
      session.send("COMMIT", { transaction: "t", receipt: "committed" });
      const error = await session.expectError(/full/);
      assert.equal(error.headers["receipt-id"], "committed");
      assert.deepEqual(await leftIn(daemon, other), []);
      await mustStayQuiet(reader);
      reader.drop();
    });

    test("a COMMIT publishes to topics once the queues have what is theirs", async () => {
      const [queue, topic] = [freshQueue(), freshTopic()];
      const [session, reader] = [await open(), await consume(topic)];
      await session.request("BEGIN", { transaction: "t" });
      session.send("SEND", { destination: topic, transaction: "t" }, "to the topic");
      session.send("SEND", { destination: queue, transaction: "t" }, "to the queue");
      await mustStayQuiet(reader);
      session.send("COMMIT", { transaction: "t" });
      assert.equal((await reader.expect("MESSAGE")).text, "to the topic");
      assert.deepEqual(textsOf(await leftIn(daemon, queue)), ["to the queue"]);
      [session, reader].forEach((client) => client.drop());
    });
  });
}

const open = (transport = overTcp) => connect(daemon, transport);

async function consume(queue, headers = INDIVIDUAL, transport = overTcp) {
  const session = await open(transport);
  await session.subscribe(queue, "0", headers);
  return session;
}

describe("Names of queues", () => {
  const odd = ["a b", "a:b\\c", "*", "**", "a.*.b", "x.#", "x.>", "[a]?", "äöü 😀", "%2F%", "a//b/", ".", "q:x", "{a}"];
  for (const name of odd) {
    test(`${JSON.stringify(name)} is a name like any other`, async () => {
      const queue = `/queue/${name}`;
      const consumer = await consume(queue);
      await put(consumer, queue, ["a"]);
      const message = await consumer.expect("MESSAGE");
      assert.equal(message.headers.destination, queue);
      await nack(consumer, message, { requeue: "false" });
      assert.equal((await deadLettersOf(queue))[0].headers["dead-letter-from"], queue);
      consumer.drop();
    });
  }

  test("they are compared byte by byte", async () => {
    const base = freshQueue("bytewise");
    const others = [`${base}.x`, `${base}/x`, `${base}/X`, `${base}.*`, `${base}.x.`];
    const consumer = await open();
    await Promise.all(others.map((queue, i) => consumer.subscribe(queue, String(i))));
    for (const [i, queue] of others.entries()) {
      await put(consumer, queue, [queue]);
      assert.equal((await consumer.expect("MESSAGE")).headers.subscription, String(i));
    }
    await mustStayQuiet(consumer);
    consumer.drop();
  });

  test("a topic's pattern does not see queues", async () => {
    const reader = await open();
    await reader.subscribe("/topic/**");
    await put(reader, freshQueue(), ["a"]);
    await mustStayQuiet(reader);
    reader.drop();
  });
});

describe("Prefetch", () => {
  const rows = [
    ["without the header", {}, PREFETCH_DEFAULT],
    ["prefetch-count:3", { "prefetch-count": 3 }, 3],
    ["prefetch-count:1", { "prefetch-count": 1 }, 1],
    ["prefetch-count:0 is the limit", { "prefetch-count": 0 }, PREFETCH_MAX],
    ["a prefetch-count above the limit is the limit", { "prefetch-count": 1_000_000 }, PREFETCH_MAX],
    ["a prefetch-count beyond all numbers is the limit", { "prefetch-count": "9".repeat(30) }, PREFETCH_MAX],
  ];
  for (const [name, header, wanted] of rows) {
    test(`${name}: no more than ${wanted} are not settled`, async () => {
      const queue = freshQueue();
      const consumer = await consume(queue, { ...INDIVIDUAL, ...header });
      await put(consumer, queue, numbers(PREFETCH_MAX + 10));
      const messages = await take(consumer, wanted);
      await mustStayQuiet(consumer);
      await ack(consumer, messages[0]);
      const [next] = await take(consumer, 1);
      assert.equal(next.text, String(wanted));
      await nack(consumer, next); // makes room, and is the next one itself
      assert.equal((await take(consumer, 1))[0].text, String(wanted));
      await mustStayQuiet(consumer);
      consumer.drop();
    });
  }

  test("it is a subscription's own", async () => {
    const queues = [freshQueue(), freshQueue()];
    const consumer = await open();
    await consumer.subscribe(queues[0], "0", { ...INDIVIDUAL, "prefetch-count": 1 });
    await consumer.subscribe(queues[1], "1", { ...INDIVIDUAL, "prefetch-count": 2 });
    await put(consumer, queues[0], numbers(5));
    await put(consumer, queues[1], numbers(5));
    await take(consumer, 1, { subscription: "0" });
    await take(consumer, 2, { subscription: "1" });
    await mustStayQuiet(consumer);
    consumer.drop();
  });

  test("in ack:auto it is no end", async () => {
    const queue = freshQueue();
    const consumer = await consume(queue, { "prefetch-count": 1 });
    await put(consumer, queue, numbers(200));
    assert.deepEqual(textsOf(await take(consumer, 200)), numbers(200));
    consumer.drop();
  });
});

describe("Several consumers", () => {
  test("those with the same credit get about the same", async () => {
    const queue = freshQueue();
    const consumers = await Promise.all([0, 1, 2, 3].map((i) => consume(queue, INDIVIDUAL, TRANSPORTS[i % 2])));
    const sender = await open();
    for (const text of numbers(80)) {
      await put(sender, queue, [text]);
    }
    await eventually("80 messages", () => consumers.reduce((sum, { frames }) => sum + frames.length, 0) === 80);
    const counts = consumers.map(({ frames }) => frames.length);
    assert.ok(Math.min(...counts) >= 10, `they got ${counts} of 80`);
    [sender, ...consumers].forEach((session) => session.drop());
  });

  test("when much waits already, they share that too", async () => {
    const queue = freshQueue();
    const sender = await open();
    await put(sender, queue, numbers(400));
    const consumers = await Promise.all(
      [0, 1, 2, 3].map(() => consume(queue, { ...INDIVIDUAL, "prefetch-count": 10 })),
    );
    for (const consumer of consumers) {
      await take(consumer, 10);
      await mustStayQuiet(consumer);
    }
    [sender, ...consumers].forEach((session) => session.drop());
  });

  test("one that never acknowledges does not hold up the others", async () => {
    const queue = freshQueue();
    const idle = await consume(queue, { ...INDIVIDUAL, "prefetch-count": 5 });
    const worker = await consume(queue, { ...INDIVIDUAL, "prefetch-count": 5 });
    const sender = await open();
    const sent = put(sender, queue, numbers(300));
    const done = [];
    while (done.length < 295) {
      const message = await worker.expect("MESSAGE");
      await ack(worker, message);
      done.push(message.text);
    }
    await sent;
    const kept = textsOf(await take(idle, 5));
    assert.deepEqual(
      [...done, ...kept].sort((a, b) => a - b),
      numbers(300),
    );
    [idle, worker, sender].forEach((session) => session.drop());
  });

  test("one that leaves while messages come loses none", async () => {
    const queue = freshQueue();
    const stays = await consume(queue, {});
    const sender = await open();
    const seen = new Set();
    for (let round = 0; round < 10; round++) {
      const leaves = await consume(queue, INDIVIDUAL, TRANSPORTS[round % 2]);
      const texts = numbers(30).map((n) => `${round}/${n}`);
      const sent = put(sender, queue, texts);
      await take(leaves, 1);
      leaves.drop();
      await sent;
      await stays.waitFor(`all of round ${round}`, () => {
        textsOf(stays.frames.splice(0)).forEach((text) => seen.add(text));
        return seen.size === 30 * (round + 1);
      });
    }
    [stays, sender].forEach((session) => session.drop());
  });
});

describe("A consumer with ack:auto that does not read", () => {
  const COUNT = 400;
  const BODY = "x".repeat(64 << 10); // 25 MB in all, more than sockets hold

  const numberOf = ({ headers }) => Number(headers.number);
  const inOrder = (from) => Array.from({ length: COUNT - from }, (_, i) => from + i);

  async function fill(queue) {
    const sender = await open();
    for (let number = 0; number < COUNT; number++) {
      sender.send("SEND", { destination: queue, number }, BODY);
    }
    await roundTrip(sender);
    sender.drop();
  }

  for (const transport of TRANSPORTS) {
    test(`gets all of it in order once it reads, over ${transport.name}`, async () => {
      const queue = freshQueue();
      const consumer = await consume(queue, {}, transport);
      consumer.pause();
      await fill(queue);
      consumer.resume();
      assert.deepEqual((await take(consumer, COUNT)).map(numberOf), inOrder(0));
      consumer.drop();
    });

    test(`and is lost: what was not written goes to another, as never delivered, over ${transport.name}`, async () => {
      const queue = freshQueue();
      const consumer = await consume(queue, {}, transport);
      consumer.pause();
      await fill(queue);
      await roundTrip(await open());
      consumer.drop();
      const other = await consume(queue, {});
      const messages = [];
      do {
        messages.push(...(await take(other, 1)));
      } while (numberOf(messages.at(-1)) < COUNT - 1);
      const first = numberOf(messages[0]);
      assert.ok(first > 0 && first < COUNT - 10, `${first} of ${COUNT} were written`);
      assert.deepEqual(messages.map(numberOf), inOrder(first));
      const halfWritten = 1; // the first may be
      messages.slice(halfWritten).forEach((message) => assert.deepEqual(historyOf(message), FRESH));
      other.drop();
    });
  }

  test("does not hold up the others", async () => {
    const queue = freshQueue();
    const [stuck, reader] = [await consume(queue, {}), await consume(queue, {})];
    stuck.pause();
    await fill(queue);
    await reader.waitFor("what the other does not take", () => reader.frames.length > COUNT / 3);
    stuck.resume();
    await eventually("the rest", () => stuck.frames.length + reader.frames.length === COUNT);
    [stuck, reader].forEach((session) => session.drop());
  });
});

describe("Time to live", { concurrency: true }, () => {
  const soon = () => Date.now() + 200;
  const rows = [
    ["expiration", () => ({ expiration: 200 })],
    ["x-message-ttl", () => ({ "x-message-ttl": 200 })],
    ["expires", () => ({ expires: soon() })],
    ["expires in the past", () => ({ expires: 1 })],
    ["the earliest of all of them", () => ({ expiration: 60_000, "x-message-ttl": 200, expires: soon() + 60_000 })],
    ["expires before expiration", () => ({ expiration: 60_000, expires: soon() })],
    ["the queue's max-age", () => ({}), "aged"],
    ["the queue's max-age before the SEND's", () => ({ expiration: 60_000 }), "aged"],
    ["the SEND's before the queue's max-age", () => ({ expires: 1 }), "aged"],
  ];
  for (const [name, headers, family] of rows) {
    test(`${name}: it is not delivered any more`, async () => {
      const queue = freshQueue(family);
      const sender = await open();
      await put(sender, queue, ["a", "b"], headers());
      await sleep(300);
      await put(sender, queue, ["fresh"]);
      const consumer = await consume(queue);
      assert.deepEqual(textsOf(await take(consumer, 1)), ["fresh"]);
      await mustStayQuiet(consumer);
      [sender, consumer].forEach((session) => session.drop());
    });
  }

  test("before its end it is delivered, with the headers that it was sent with", async () => {
    const queue = freshQueue();
    const consumer = await consume(queue);
    const headers = { expiration: "60000", "x-message-ttl": "60000", expires: String(Date.now() + 60_000) };
    await put(consumer, queue, ["a"], headers);
    const message = await consumer.expect("MESSAGE");
    assert.deepEqual({ ...message.headers, ...headers }, { ...message.headers });
    consumer.drop();
  });

  test("expires:0 is never", async () => {
    const queue = freshQueue();
    const consumer = await consume(queue);
    await put(consumer, queue, ["a"], { expires: 0 });
    assert.equal((await consumer.expect("MESSAGE")).text, "a");
    consumer.drop();
  });

  test("what has expired makes room in a full queue", async () => {
    const queue = freshQueue("refuse");
    const sender = await open();
    await put(sender, queue, ["a", "b", "c"], { expiration: 100 });
    await sleep(200);
    await put(sender, queue, ["d", "e", "f"]);
    const consumer = await consume(queue);
    assert.deepEqual(textsOf(await take(consumer, 3)), ["d", "e", "f"]);
    [sender, consumer].forEach((session) => session.drop());
  });

  test("what is with a consumer stays its own, and does not come back", async () => {
    const queue = freshQueue();
    const consumer = await consume(queue);
    await put(consumer, queue, ["a", "b"], { expiration: 200 });
    const [a, b] = await take(consumer, 2);
    await sleep(300);
    await ack(consumer, a);
    await nack(consumer, b);
    await mustStayQuiet(consumer);
    assert.deepEqual(await deadLettersOf(queue), []);
    consumer.drop();
  });
});

describe("A message that nobody settles", () => {
  test("goes to the dead-letter queue after max-deliveries NACKs", async () => {
    const queue = freshQueue("twice");
    const consumer = await consume(queue);
    await put(consumer, queue, ["poison"], { "x-custom": "value" });
    await nack(consumer, await consumer.expect("MESSAGE"));
    await nack(consumer, await consumer.expect("MESSAGE"));
    await mustStayQuiet(consumer);
    const [dead, ...others] = await deadLettersOf(queue);
    assert.deepEqual(others, []);
    assert.equal(dead.text, "poison");
    assert.equal(dead.headers["dead-letter-from"], queue);
    assert.equal(dead.headers["dead-letter-reason"], "max-deliveries");
    assert.equal(dead.headers["x-custom"], "value");
    consumer.drop();
  });

  test("goes there as well when its consumers are lost with it", async () => {
    const queue = freshQueue("twice");
    const watcher = await consume(`${queue}.dead`);
    await put(watcher, queue, ["poison"]);
    for (let i = 0; i < 2; i++) {
      const consumer = await consume(queue);
      await consumer.expect("MESSAGE");
      consumer.drop();
    }
    assert.equal((await watcher.expect("MESSAGE")).headers["dead-letter-reason"], "max-deliveries");
    watcher.drop();
  });

  test("max-deliveries 0: it comes for ever", async () => {
    const queue = freshQueue("ever");
    const consumer = await consume(queue);
    await put(consumer, queue, ["a"]);
    for (let i = 1; i < 25; i++) {
      await nack(consumer, await consumer.expect("MESSAGE"));
    }
    assert.equal((await consumer.expect("MESSAGE")).headers["delivery-count"], "25");
    consumer.drop();
  });

  test("goes to the policy's dead-letter queue where it names one", async () => {
    const queue = freshQueue("grave");
    const consumer = await consume(queue);
    await put(consumer, queue, ["a"]);
    await nack(consumer, await consumer.expect("MESSAGE"), { requeue: "false" });
    const [dead] = await leftIn(daemon, "/queue/graveyard");
    assert.equal(dead.headers["dead-letter-from"], queue);
    assert.deepEqual(await deadLettersOf(queue), []);
    consumer.drop();
  });

  test("out of a dead-letter queue: it can be taken, given back, and rejected for good", async () => {
    const queue = freshQueue();
    const consumer = await consume(queue);
    await put(consumer, queue, ["a"]);
    await nack(consumer, await consumer.expect("MESSAGE"), { requeue: "false" });
    await consumer.subscribe(`${queue}.dead`, "dead", INDIVIDUAL);
    await nack(consumer, await consumer.expect("MESSAGE"));
    const again = await consumer.expect("MESSAGE");
    assert.equal(again.headers["dead-letter-from"], queue);
    assert.equal(again.headers.redelivered, "true");
    await nack(consumer, again, { requeue: "false" });
    await mustStayQuiet(consumer);
    assert.deepEqual(await leftIn(daemon, `${queue}.dead.dead`), []);
    consumer.drop();
  });

  test("a dead letter that is sent again has none of the server's headers", async () => {
    const queue = freshQueue();
    const consumer = await consume(queue);
    await put(consumer, queue, ["a"]);
    await nack(consumer, await consumer.expect("MESSAGE"), { requeue: "false" });
    const [dead] = await deadLettersOf(queue);
    await consumer.request("SEND", { ...dead.headers, destination: queue }, dead.text);
    const again = await consumer.expect("MESSAGE");
    assert.deepEqual([again.headers["dead-letter-from"], again.headers["dead-letter-reason"]], [undefined, undefined]);
    consumer.drop();
  });
});

describe("A full queue", () => {
  test("refuses with an ERROR that names it, keeps what it has, and takes more when there is room", async () => {
    const queue = freshQueue("refuse");
    const sender = await open();
    await put(sender, queue, ["a", "b", "c"]);
    sender.send("SEND", { destination: queue, receipt: "refused" }, "d");
    const error = await sender.expectError(new RegExp(`${queue}.*full|full.*${queue}`));
    assert.equal(error.headers["receipt-id"], "refused");
    const consumer = await consume(queue);
    const messages = await take(consumer, 3);
    assert.deepEqual(textsOf(messages), ["a", "b", "c"]);
    await ack(consumer, messages[0]);
    await put(consumer, queue, ["e"]);
    assert.equal((await consumer.expect("MESSAGE")).text, "e");
    consumer.send("SEND", { destination: queue }, "what is with a consumer counts");
    await consumer.expectError(/full/);
  });

  test("max-bytes counts as well", async () => {
    const queue = freshQueue("bytes");
    const sender = await open();
    await put(sender, queue, ["x".repeat(4000), "y".repeat(4000)]);
    sender.send("SEND", { destination: queue }, "z".repeat(4000));
    await sender.expectError(new RegExp(queue));
    assert.equal((await leftIn(daemon, queue)).length, 2);
  });

  test("drop-oldest: the newest are kept", async () => {
    const queue = freshQueue("oldest");
    const sender = await open();
    await put(sender, queue, numbers(10));
    const consumer = await consume(queue);
    assert.deepEqual(textsOf(await take(consumer, 3)), ["7", "8", "9"]);
    await mustStayQuiet(consumer);
    assert.deepEqual(await deadLettersOf(queue), []);
    [sender, consumer].forEach((session) => session.drop());
  });

  test("drop-oldest: what is with a consumer stays", async () => {
    const queue = freshQueue("oldest");
    const consumer = await consume(queue, { ...INDIVIDUAL, "prefetch-count": 1 });
    await put(consumer, queue, ["0"]);
    const [first] = await take(consumer, 1);
    await put(consumer, queue, numbers(10).slice(1));
    await nack(consumer, first);
    const texts = [];
    while (texts.at(-1) !== "9") {
      const [message] = await take(consumer, 1);
      await ack(consumer, message);
      texts.push(message.text);
    }
    assert.deepEqual(texts, ["0", "7", "8", "9"]);
    consumer.drop();
  });

  test("dead-letter: the oldest go there", async () => {
    const queue = freshQueue("buries");
    const sender = await open();
    await put(sender, queue, numbers(5));
    const dead = await deadLettersOf(queue);
    assert.deepEqual(textsOf(dead), ["0", "1"]);
    for (const { headers } of dead) {
      assert.deepEqual([headers["dead-letter-from"], headers["dead-letter-reason"]], [queue, "full"]);
    }
    const consumer = await consume(queue);
    assert.deepEqual(textsOf(await take(consumer, 3)), ["2", "3", "4"]);
    [sender, consumer].forEach((session) => session.drop());
  });
});

describe("DISCONNECT", () => {
  for (const transport of TRANSPORTS) {
    test(`its RECEIPT means that all that was sent is stored, over ${transport.name}`, async () => {
      const queue = freshQueue();
      const sender = await open(transport);
      const sends = numbers(500).map((text) => encodeFrame("SEND", { destination: queue }, text));
      sender.sendRaw(Buffer.concat(sends.slice(0, 100)));
      sends.slice(100).forEach((send) => sender.sendRaw(send));
      await sender.request("DISCONNECT");
      assert.deepEqual(textsOf(await leftIn(daemon, queue)), numbers(500));
      await sender.expectClose(1000);
    });
  }

  test("its RECEIPT comes behind those of what was sent before", async () => {
    const queue = freshQueue();
    const sender = await open();
    numbers(20).forEach((receipt) => sender.send("SEND", { destination: queue, receipt }));
    sender.send("DISCONNECT", { receipt: "the last" });
    await sender.expectClose(1000);
    assert.deepEqual(
      sender.frames.map(({ headers }) => headers["receipt-id"]),
      [...numbers(20), "the last"],
    );
  });
});

describe("STOMP.js and queues", () => {
  const openPage = (config) => openClient(daemon.ports.web, config);

  test("ack, nack, and nack with requeue:false", async () => {
    const queue = freshQueue();
    const client = await openPage();
    const inbox = await subscribe(client, queue, { ack: "client-individual", "prefetch-count": "10" });
    await publish(client, queue, "žluťoučký 🐎", { custom: "value" });
    const first = await inbox.next();
    assert.equal(first.body, "žluťoučký 🐎");
    assert.equal(first.headers.custom, "value");
    first.nack();
    const second = await inbox.next();
    assert.equal(second.headers.redelivered, "true");
    assert.equal(second.headers["delivery-count"], "2");
    second.nack({ requeue: "false" });
    const dead = await subscribe(client, `${queue}.dead`);
    assert.equal((await dead.next()).headers["dead-letter-reason"], "rejected");
    await publish(client, queue, "another");
    const third = await inbox.next();
    await receipted(client, (receipt) => third.ack({ receipt }));
    await receipted(client, (receipt) => inbox.subscription.unsubscribe({ receipt }));
    assert.deepEqual(await leftIn(daemon, queue), []);
  });

  test("a transaction with a message, its ack and an answer", async () => {
    const [requests, answers] = [freshQueue(), freshQueue()];
    const client = await openPage();
    const inbox = await subscribe(client, requests, INDIVIDUAL);
    await publish(client, requests, "request");
    const message = await inbox.next();
    const transaction = client.begin();
    client.publish({ destination: answers, body: "answer", headers: { transaction: transaction.id } });
    message.ack({ transaction: transaction.id });
    await publish(client, freshQueue(), "something else");
    assert.deepEqual(await leftIn(daemon, answers), []);
    transaction.commit();
    await publish(client, freshQueue(), "something else");
    assert.deepEqual(textsOf(await leftIn(daemon, answers)), ["answer"]);
    await client.deactivate();
    assert.deepEqual(await leftIn(daemon, requests), []);
  });

  test("one that reconnects gets what it had not acknowledged", async () => {
    const queue = freshQueue();
    const client = await openPage({ reconnectDelay: 50 });
    const seen = [];
    client.onConnect = () => client.subscribe(queue, (message) => seen.push(message), INDIVIDUAL);
    client.onConnect();
    await publish(client, queue, "a");
    await eventually("the message", () => seen.length === 1);
    client.webSocket.terminate();
    await eventually("it again", () => seen.length === 2);
    assert.equal(seen[1].headers.redelivered, "true");
    seen[1].ack();
    await client.deactivate();
    assert.deepEqual(await leftIn(daemon, queue), []);
  });
});
