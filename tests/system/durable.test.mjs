// Durable subscriptions of topics: what arrives is kept while their user is away. The same on one node, in memory, and on
// two that share a Redis; and there, what nodes and Redis lose.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Cluster, metric, newNode, untilReady, useCluster } from "./lib/cluster.mjs";
import { useDaemon } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { ack, leftIn, mustStayQuiet, nack, take, textsOf } from "./lib/queue.mjs";
import { Redis } from "./lib/redis.mjs";
import { connect, freshTopic, overTcp, overWebSocket } from "./lib/transports.mjs";

const ALICE = { login: "alice", passcode: "wonderland" };
const BOB = { login: "bob", passcode: "builder" };
const PER_USER = 6;

const CONF = {
  limits: { "durable-subscriptions": PER_USER },
  "destination /topic/brief.**": { "max-messages": 3, "when-full": "drop-oldest" },
  "destination /topic/refuse.**": { "max-messages": 3 },
  "destination /topic/once.**": { "max-deliveries": 1 },
};

const numbers = (count) => Array.from({ length: count }, (_, i) => String(i));

let ids = 0;
const freshId = () => `durable-${++ids}`;

/** A session that has the durable subscription open, its receipt come. */
async function open(node, destination, id, { user = ALICE, transport = overTcp, version = "1.2", ...headers } = {}) {
  const session = await connect(node, transport, { ...user, version });
  await session.subscribe(destination, id, { durable: "true", ...headers });
  return session;
}

async function end(node, id, user = ALICE) {
  const session = await connect(node, overTcp, user);
  await session.request("UNSUBSCRIBE", { id, durable: "true" });
  await session.request("DISCONNECT");
}

const publish = (session, destination, texts) =>
  texts.reduce((done, text) => done.then(() => session.request("SEND", { destination }, text)), Promise.resolve());

/** What the nodes have stored in queues so far. */
const countPuts = async (nodes) => {
  const counts = await Promise.all([...new Set(nodes)].map((node) => metric(node, "stompd_queue_puts_total")));
  return counts.reduce((sum, count) => sum + count, 0);
};

/** Publishes on that node, and waits until as many have been stored. */
async function publishStored(nodes, node, destination, texts) {
  const before = await countPuts(nodes);
  const session = await connect(node, overTcp);
  await publish(session, destination, texts);
  await eventually("the puts", async () => (await countPuts(nodes)) >= before + texts.length);
  session.drop();
}

/** `nodes()`: two, which may be the same one. */
function describeAll(name, nodes) {
  describe(name, () => {
    test("what is sent while the user is away comes first, in order, then what comes", async () => {
      const [topic, id] = [freshTopic(), freshId()];
      const [a, b] = nodes();
      const sender = await connect(b, overTcp);
      const first = await open(a, topic, id);
      await publish(sender, topic, ["0", "1"]);
      assert.deepEqual(textsOf(await take(first, 2, { subscription: id, destination: topic })), ["0", "1"]);
      await first.request("DISCONNECT");
      await publish(sender, topic, numbers(50));
      const second = await open(b, topic, id, { transport: overWebSocket });
      await publish(sender, topic, ["last"]);
      assert.deepEqual(textsOf(await take(second, 51)), [...numbers(50), "last"]);
      await mustStayQuiet(second);
      [sender, second].forEach((session) => session.drop());
      await end(a, id);
    });

    test("a MESSAGE is what an ordinary subscriber gets, and both get theirs", async () => {
      const [topic, id] = [freshTopic(), freshId()];
      const [a, b] = nodes();
      const durable = await open(a, topic, id);
      await durable.subscribe(topic, "ordinary");
      const sender = await connect(b, overTcp);
      await sender.request("SEND", { destination: topic, price: "1:€", persistent: "true" }, "body");
      const messages = await take(durable, 2);
      const [kept, passing] = ["durable", "ordinary"].map((kind) =>
        messages.find(({ headers }) => (headers.subscription === "ordinary") === (kind === "ordinary")),
      );
      const { subscription, ...headers } = kept.headers;
      const { subscription: other, ...expected } = passing.headers;
      assert.deepEqual(headers, expected);
      assert.deepEqual([subscription, other, kept.text, passing.text], [id, "ordinary", "body", "body"]);
      await mustStayQuiet(durable);
      [durable, sender].forEach((session) => session.drop());
      await end(a, id);
    });

    test("a pattern keeps what it reaches, each message once for each subscription", async () => {
      const topic = freshTopic();
      const [id, other] = [freshId(), freshId()];
      const [a, b] = nodes();
      const patterns = { [id]: `${topic}.**`, [other]: `${topic}.*.x` };
      for (const [key, pattern] of Object.entries(patterns)) {
        (await open(a, pattern, key)).drop();
      }
      const sender = await connect(b, overTcp);
      await publish(sender, `${topic}.a.x`, ["1"]);
      await publish(sender, `${topic}.a/y`, ["2"]);
      await publish(sender, topic, ["3"]); // which ** reaches, too
      await publish(sender, `${topic}-elsewhere`, ["4"]);
      await publish(sender, `${topic}.b.x`, ["5"]);
      const first = await open(b, patterns[id], id);
      assert.deepEqual(textsOf(await take(first, 4)), ["1", "2", "3", "5"]);
      const second = await open(b, patterns[other], other);
      const messages = await take(second, 2);
      assert.deepEqual(
        messages.map(({ text, headers }) => [text, headers.destination]),
        [
          ["1", `${topic}.a.x`],
          ["5", `${topic}.b.x`],
        ],
      );
      for (const session of [first, second]) {
        await mustStayQuiet(session);
        session.drop();
      }
      await end(a, id);
      await end(a, other);
      sender.drop();
    });

    for (const version of ["1.0", "1.1", "1.2"]) {
      test(`what was not acknowledged comes again, in STOMP ${version}`, async () => {
        const [topic, id] = [freshTopic(), freshId()];
        const [a, b] = nodes();
        const first = await open(a, topic, id, { ack: "client", version });
        const sender = await connect(b, overTcp);
        await publish(sender, topic, numbers(5));
        const messages = await take(first, 5);
        await ack(first, messages[2]); // and those before it
        first.drop();
        const second = await open(b, topic, id, { version, ack: "client" });
        const again = await take(second, 2);
        assert.deepEqual(
          again.map(({ text, headers }) => [text, headers.redelivered, headers["delivery-count"]]),
          [
            ["3", "true", "2"],
            ["4", "true", "2"],
          ],
        );
        await mustStayQuiet(second);
        [second, sender].forEach((session) => session.drop());
        await end(a, id);
      });
    }

    test("each acknowledges for itself, and NACK gives back or rejects", async () => {
      const [topic, id] = [freshTopic(), freshId()];
      const [a, b] = nodes();
      const subscriber = await open(a, topic, id, { ack: "client-individual", "prefetch-count": 2 });
      const sender = await connect(b, overTcp);
      await publish(sender, topic, numbers(3));
      const [zero, one] = await take(subscriber, 2);
      await ack(subscriber, one);
      const two = await subscriber.expect("MESSAGE");
      assert.equal(two.text, "2");
      await nack(subscriber, zero);
      const zeroAgain = await subscriber.expect("MESSAGE");
      assert.deepEqual([zeroAgain.text, zeroAgain.headers.redelivered], ["0", "true"]);
      await nack(subscriber, zeroAgain, { requeue: "false" });
      await ack(subscriber, two);
      await mustStayQuiet(subscriber);
      const [dead] = await leftIn(b, "/queue/durable.dead");
      assert.deepEqual(
        [dead.text, dead.headers["dead-letter-from"], dead.headers["dead-letter-reason"], dead.headers.destination],
        ["0", `alice/${id}`, "rejected", topic],
      );
      [subscriber, sender].forEach((session) => session.drop());
      await end(a, id);
    });

    test("two sessions share the messages, each to one of them", async () => {
      const [topic, id] = [freshTopic(), freshId()];
      const [a, b] = nodes();
      const credit = { ack: "client-individual", "prefetch-count": 10 };
      const sessions = [await open(a, topic, id, credit), await open(b, topic, id, credit)];
      await publishStored([a, b], a, topic, numbers(20));
      const messages = [...(await take(sessions[0], 10)), ...(await take(sessions[1], 10))];
      assert.deepEqual(
        textsOf(messages).sort((x, y) => x - y),
        numbers(20),
      );
      for (const session of sessions) {
        await mustStayQuiet(session);
        session.drop();
      }
      await end(a, id);
    });

    test("ids are a user's own", async () => {
      const [topic, id] = [freshTopic(), freshId()];
      const [a, b] = nodes();
      (await open(a, topic, id)).drop();
      (await open(b, topic, id, { user: BOB })).drop();
      const sender = await connect(a, overTcp);
      await publish(sender, topic, ["1"]);
      await end(a, id, BOB);
      const alice = await open(b, topic, id);
      assert.equal((await alice.expect("MESSAGE")).text, "1");
      [alice, sender].forEach((session) => session.drop());
      await end(a, id);
    });

    test("UNSUBSCRIBE ends the receiving, with durable:true the subscription", async () => {
      const [topic, id] = [freshTopic(), freshId()];
      const [a, b] = nodes();
      const subscriber = await open(a, topic, id);
      await subscriber.request("UNSUBSCRIBE", { id });
      await publishStored([a, b], b, topic, ["kept"]);
      await mustStayQuiet(subscriber);
      await subscriber.subscribe(topic, id, { durable: "true", ack: "client" });
      assert.equal((await subscriber.expect("MESSAGE")).text, "kept");
      await subscriber.request("UNSUBSCRIBE", { id, durable: "true" });
      const sender = await connect(b, overTcp);
      await publish(sender, topic, ["nobody's"]);
      await subscriber.subscribe(topic, id, { durable: "true" });
      await publish(sender, topic, ["the next"]);
      assert.notEqual((await subscriber.expect("MESSAGE")).text, "kept");
      [subscriber, sender].forEach((session) => session.drop());
      await end(b, id); // also from where it is not open
      const known = () => Promise.all([a, b].map((node) => metric(node, "stompd_durable_subscriptions")));
      await eventually("nodes that know of none", async () => (await known()).every((count) => count === 0));
    });

    test("a subscription keeps to its destination, until it ends", async () => {
      const [topic, id] = [freshTopic(), freshId()];
      const [a, b] = nodes();
      (await open(a, topic, id)).drop();
      const other = await connect(b, overTcp, ALICE);
      other.send("SUBSCRIBE", { id, destination: `${topic}.**`, durable: "true", receipt: "never" });
      await other.expectError(/one of another destination/);
      await end(b, id);
      const again = await open(a, `${topic}.**`, id);
      const sender = await connect(b, overTcp);
      await publish(sender, `${topic}.x`, ["1"]);
      assert.equal((await again.expect("MESSAGE")).text, "1");
      [again, sender].forEach((session) => session.drop());
      await end(a, id);
    });

    test("a user has so many, wherever they were made", async () => {
      const topic = freshTopic();
      const mine = Array.from({ length: PER_USER }, freshId);
      const [a, b] = nodes();
      for (const [i, id] of mine.entries()) {
        (await open([a, b][i % 2], topic, id)).drop();
      }
      const session = await connect(a, overTcp, ALICE);
      session.send("SUBSCRIBE", { id: freshId(), destination: topic, durable: "true" });
      await session.expectError(/too many durable subscriptions.*durable-subscriptions/);
      const last = freshId();
      (await open(b, topic, last, { user: BOB })).drop();
      (await open(b, topic, mine[0])).drop();
      await end(a, mine.shift());
      const known = () => metric(a, "stompd_durable_subscriptions");
      await eventually("the end", async () => (await known()) === PER_USER);
      (await open(a, topic, last)).drop();
      for (const id of [...mine, last]) {
        await end(a, id);
      }
      await end(a, last, BOB);
    });

    test("who has no name, or gives no id, is refused", async () => {
      const [a] = nodes();
      const cases = [
        [{}, {}, { id: "1" }, /needs a user/],
        [ALICE, { version: "1.0" }, {}, /needs an id/],
        [ALICE, {}, { id: "" }, /needs an id/],
        [ALICE, {}, { id: "1", durable: "perhaps" }, /neither true nor false/],
      ];
      for (const [user, how, headers, message] of cases) {
        const session = await connect(a, overTcp, { ...user, ...how });
        session.send("SUBSCRIBE", { destination: freshTopic(), durable: "true", ...headers });
        await session.expectError(message);
      }
      const nameless = await connect(a, overTcp);
      nameless.send("UNSUBSCRIBE", { id: "1", durable: "true" });
      await nameless.expectError(/needs a user/);
    });

    test("it is kept to the limits of the destination's section", async () => {
      const [a, b] = nodes();
      const kept = { brief: ["2", "3", "4"], refuse: ["0", "1", "2"] };
      for (const [family, expected] of Object.entries(kept)) {
        const [pattern, id] = [`/topic/${family}.${freshId()}.*`, freshId()];
        (await open(a, pattern, id)).drop();
        const sender = await connect(b, overTcp);
        const refused = () => metric(b, "stompd_queue_puts_refused_total");
        const before = (await countPuts([b])) + (await refused());
        await publish(sender, pattern.replace("*", "x"), numbers(5));
        await eventually("five puts", async () => (await countPuts([b])) + (await refused()) >= before + 5);
        const subscriber = await open(a, pattern, id);
        assert.deepEqual(textsOf(await take(subscriber, 3)), expected, family);
        await mustStayQuiet(subscriber);
        [subscriber, sender].forEach((session) => session.drop());
        await end(a, id);
      }
    });

    test("and to the deliveries that it allows", async () => {
      const [topic, id] = [`/topic/once.${freshId()}`, freshId()];
      const [a, b] = nodes();
      const first = await open(a, topic, id, { ack: "client" });
      await publishStored([a, b], b, topic, ["poison"]);
      await first.expect("MESSAGE");
      await first.request("DISCONNECT");
      const [dead] = await leftIn(b, "/queue/durable.dead");
      assert.deepEqual([dead.text, dead.headers["dead-letter-reason"]], ["poison", "max-deliveries"]);
      await end(a, id);
    });

    test("what a transaction sends is kept when it is committed", async () => {
      const [topic, id] = [freshTopic(), freshId()];
      const [a, b] = nodes();
      (await open(a, topic, id)).drop();
      const sender = await connect(b, overTcp);
      for (const [transaction, how] of [
        ["1", "ABORT"],
        ["2", "COMMIT"],
      ]) {
        sender.send("BEGIN", { transaction });
        sender.send("SEND", { destination: topic, transaction }, how);
        await sender.request(how, { transaction });
      }
      const subscriber = await open(b, topic, id);
      assert.equal((await subscriber.expect("MESSAGE")).text, "COMMIT");
      [subscriber, sender].forEach((session) => session.drop());
      await end(a, id);
    });

    test("from the receipt on nothing is missed, on whatever node it is sent", async () => {
      const [a, b] = nodes();
      const senders = [await connect(a, overTcp), await connect(b, overWebSocket), await connect(b, overTcp)];
      for (let round = 0; round < 5; round++) {
        const [topic, id] = [freshTopic(), freshId()];
        const destination = round % 2 ? topic : `${topic}.**`;
        const subscriber = await open([a, b][round % 2], destination, id, { ack: "client" });
        senders.forEach((sender, i) => sender.send("SEND", { destination: topic }, String(i)));
        subscriber.drop();
        const again = await open(b, destination, id);
        assert.deepEqual(textsOf(await take(again, 3)).sort(), numbers(3));
        again.drop();
        await end(a, id);
      }
      senders.forEach((sender) => sender.drop());
    });
  });
}

const daemon = useDaemon({ admin: {}, ...CONF });
describeAll("A durable subscription on one node", () => [daemon, daemon]);

const cluster = useCluster({ conf: CONF });
describeAll("A durable subscription on two nodes", () => cluster.nodes);

describe("A durable subscription under faults", () => {
  /** Two nodes and a Redis that a test may break; it writes all to disk, always. */
  async function withCluster(body) {
    const redis = await new Redis({ config: { appendonly: "yes", appendfsync: "always" } }).start();
    const broken = new Cluster({ redis });
    try {
      await broken.start();
      await body(broken, redis);
    } finally {
      redis.resume();
      await broken.stop().finally(() => redis.remove());
    }
  }

  test("the subscriber's node is killed: what it held, and what is sent meanwhile, comes on another", () =>
    withCluster(async ({ nodes: [a, b] }) => {
      const topic = freshTopic();
      const first = await open(a, topic, "1", { ack: "client" });
      await publishStored([b], b, topic, ["0", "1"]);
      await take(first, 2);
      await a.crash();
      await publishStored([b], b, topic, ["2"]);
      const second = await open(b, topic, "1");
      const messages = await take(second, 3);
      assert.deepEqual(textsOf(messages).sort(), ["0", "1", "2"]);
      const again = messages.filter(({ headers }) => headers.redelivered === "true");
      assert.deepEqual(textsOf(again), ["0", "1"]);
      second.drop();
    }));

  test("a new subscription waits for a node that is dead no longer than it takes to be sure of that", () =>
    withCluster(async ({ nodes: [a, b] }) => {
      const topic = freshTopic();
      await a.crash();
      const subscriber = await open(b, topic, "1");
      await publishStored([b], b, topic, ["0"]);
      assert.equal((await subscriber.expect("MESSAGE")).text, "0");
      subscriber.drop();
    }));

  test("a node that stood still and was taken for dead keeps what is sent there, from the receipt on", () =>
    withCluster(async ({ nodes: [a, b] }) => {
      const topic = freshTopic();
      const sender = await connect(a, overTcp);
      a.kill("SIGSTOP");
      const subscriber = await open(b, topic, "1");
      sender.send("SEND", { destination: topic }, "0");
      a.kill("SIGCONT");
      assert.equal((await subscriber.expect("MESSAGE")).text, "0");
      [subscriber, sender].forEach((session) => session.drop());
    }));

  test("a node is killed as soon as it has confirmed an end: the subscription is gone", () =>
    withCluster(async ({ nodes: [a, b] }, redis) => {
      const topic = freshTopic();
      const subscriber = await open(a, topic, "1");
      await publishStored([b], b, topic, ["0"]);
      await subscriber.expect("MESSAGE");
      await subscriber.request("UNSUBSCRIBE", { id: "1", durable: "true" });
      await a.crash();
      assert.equal(await redis.command("EXISTS", "stompd:durables", "stompd:d:alice/1"), 0);
      const again = await open(b, `${topic}.*`, "1");
      again.drop();
    }));

  test("the publisher's node is killed: what it had put comes", () =>
    withCluster(async ({ nodes: [a, b] }) => {
      const topic = freshTopic();
      (await open(b, topic, "1")).drop();
      await publishStored([a], a, topic, numbers(10));
      await a.crash();
      const subscriber = await open(b, topic, "1");
      assert.deepEqual(textsOf(await take(subscriber, 10)), numbers(10));
      subscriber.drop();
    }));

  test("a node that has just started keeps what is sent there", () =>
    withCluster(async (broken, redis) => {
      const topic = freshTopic();
      (await open(broken.nodes[0], topic, "1")).drop();
      const late = newNode("node-late", redis);
      broken.nodes.push(late);
      await late.start();
      const sender = await connect(late, overTcp);
      await publish(sender, topic, ["0"]);
      const subscriber = await open(broken.nodes[1], topic, "1");
      assert.equal((await subscriber.expect("MESSAGE")).text, "0");
      [subscriber, sender].forEach((session) => session.drop());
    }));

  test("Redis is killed and comes back with what was on its disk", () =>
    withCluster(async ({ nodes: [a, b] }, redis) => {
      const topic = freshTopic();
      const open1 = await open(a, topic, "1");
      (await open(a, topic, "2")).drop();
      await publishStored([b], b, topic, ["0"]);
      await open1.expect("MESSAGE");
      await redis.kill();
      const sender = await connect(b, overTcp);
      await publish(sender, topic, ["1"]); // is not confirmed by the store, and waits in the node
      await redis.start();
      await Promise.all([a, b].map(untilReady));
      await publish(sender, topic, ["2"]);
      assert.deepEqual(textsOf(await take(open1, 2)), ["1", "2"]);
      const open2 = await open(b, topic, "2");
      assert.deepEqual(textsOf(await take(open2, 3)), numbers(3));
      [open1, open2, sender].forEach((session) => session.drop());
    }));

  test("who subscribes while Redis is away is told so when it is back", () =>
    withCluster(async ({ nodes: [a, b] }, redis) => {
      const topic = freshTopic();
      await redis.kill();
      const opening = open(a, topic, "1");
      await redis.start();
      const subscriber = await opening;
      const sender = await connect(b, overTcp);
      await publish(sender, topic, ["0"]);
      assert.equal((await subscriber.expect("MESSAGE")).text, "0");
      [subscriber, sender].forEach((session) => session.drop());
    }));

  test("Redis is emptied: who is there goes on, who is away has lost it", () =>
    withCluster(async ({ nodes: [a, b] }, redis) => {
      const topic = freshTopic();
      const here = await open(a, topic, "here");
      (await open(a, topic, "away")).drop();
      await redis.command("FLUSHALL");
      const known = () => Promise.all([a, b].map((node) => metric(node, "stompd_durable_subscriptions")));
      await eventually("one that is bound again", async () => (await known()).every((count) => count === 1));
      const sender = await connect(b, overTcp);
      await publish(sender, topic, ["0"]);
      assert.equal((await here.expect("MESSAGE")).text, "0");
      assert.equal(await redis.command("HLEN", "stompd:durables"), 1);
      [here, sender].forEach((session) => session.drop());
    }));
});
