// Queues over three nodes and one Redis. Consumers anywhere share a queue, and what a node, a link or Redis itself loses
// comes back. Nothing that was accepted is lost, and nothing comes twice unless something failed.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Cluster, metric, NODE_TIMEOUT_MS, untilReady, useCluster } from "./lib/cluster.mjs";
import { eventually } from "./lib/eventually.mjs";
import { Consumer, Producer, PythonConsumer } from "./lib/flow.mjs";
import { ack, freshQueue, leftIn, mustStayQuiet, nack, put, take, textsOf } from "./lib/queue.mjs";
import { Redis } from "./lib/redis.mjs";
import { connect, overTcp, TRANSPORTS } from "./lib/transports.mjs";

const INDIVIDUAL = { ack: "client-individual" };
const DURABLE = { config: { appendonly: "yes", appendfsync: "always" } };

const numbers = (count) => Array.from({ length: count }, (_, i) => i);
const texts = (count) => numbers(count).map(String);
const inOrder = (list) => [...list].sort((a, b) => a - b);

async function consume(node, queue, headers = {}, transport = overTcp) {
  const session = await connect(node, transport);
  await session.subscribe(queue, "0", { ...INDIVIDUAL, ...headers });
  return session;
}

/** Nodes and a Redis that a test may break. */
async function withCluster(body, options = {}, redisOptions = {}) {
  const redis = await new Redis(redisOptions).start();
  const cluster = new Cluster({ redis, ...options });
  try {
    await cluster.start();
    await body(cluster, redis);
  } finally {
    redis.resume();
    await cluster.stop().finally(() => redis.remove());
  }
}

describe("Three nodes", () => {
  const cluster = useCluster({
    size: 3,
    conf: {
      "destination /queue/full.**": { "max-messages": 3 },
      "destination /queue/twice.**": { "max-deliveries": 2 },
      "destination /app/**": { "app-consumers": "bob" },
    },
  });

  test("consumers on all of them share a queue by their credit, each message to one", async () => {
    const queue = freshQueue();
    const credit = { "prefetch-count": 10 };
    const consumers = await Promise.all(
      cluster.nodes.map((node, i) => consume(node, queue, credit, TRANSPORTS[i % 2])),
    );
    const senders = await Promise.all(cluster.nodes.map((node) => connect(node, overTcp)));
    await Promise.all(
      senders.map((sender, i) =>
        put(
          sender,
          queue,
          texts(30).map((text) => `${i}/${text}`),
        ),
      ),
    );
    const messages = [];
    for (const consumer of consumers) {
      messages.push(...(await take(consumer, 10)));
      await mustStayQuiet(consumer);
    }
    for (const message of messages.slice(-10)) {
      await ack(consumers[2], message);
    }
    messages.push(...(await take(consumers[2], 10)));
    for (const consumer of consumers) {
      await mustStayQuiet(consumer);
    }
    assert.equal(new Set(textsOf(messages)).size, 40);
    [...consumers, ...senders].forEach((session) => session.drop());
  });

  test("consumers that work at the same pace do about the same", async () => {
    const queue = freshQueue();
    const consumers = cluster.nodes.map((node) => new Consumer(node, overTcp, queue, { prefetch: 5 }).start());
    const producers = cluster.nodes.map((node, i) =>
      new Producer(
        node,
        queue,
        numbers(900).filter((number) => number % 3 === i),
        { limit: 900 },
      ).start(),
    );
    await Promise.all(producers.map(({ done }) => done));
    await eventually("all 900", () => consumers.reduce((sum, { heard }) => sum + heard.length, 0) >= 900);
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    const counts = consumers.map(({ heard }) => heard.length);
    assert.ok(Math.min(...counts) >= 90, `${counts} of 900`);
  });

  test("a message wakes the node that waits for it, without a sweep", async () => {
    const queue = freshQueue();
    const [a, , c] = cluster.nodes;
    const [consumer, sender] = [await consume(c, queue), await connect(a, overTcp)];
    const began = Date.now();
    for (const text of texts(20)) {
      await put(sender, queue, [text]);
      await ack(consumer, await consumer.expect({ command: "MESSAGE" }));
    }
    assert.ok(Date.now() - began < 8000, `20 messages, one after the other, took ${Date.now() - began} ms`);
    [consumer, sender].forEach((session) => session.drop());
  });

  test("one consumer gets all in order, whatever the node that they are sent on", async () => {
    const queue = freshQueue();
    const senders = await Promise.all(cluster.nodes.map((node) => connect(node, overTcp)));
    for (const text of texts(60)) {
      await put(senders[text % 3], queue, [text]);
    }
    const consumer = await consume(cluster.nodes[1], queue);
    assert.deepEqual(textsOf(await take(consumer, 60)), texts(60));
    [consumer, ...senders].forEach((session) => session.drop());
  });

  test("what one node's consumer gives back, another's gets", async () => {
    const queue = freshQueue("twice");
    const [a, b, c] = cluster.nodes;
    const first = await consume(a, queue);
    await put(first, queue, ["poison", "good"]);
    const [poison, good] = await take(first, 2);
    await ack(first, good);
    await first.request("UNSUBSCRIBE", { id: "0" });
    await nack(first, poison); // too late
    const second = await consume(b, queue);
    const again = await second.expect("MESSAGE");
    assert.deepEqual([again.text, again.headers.redelivered, again.headers["delivery-count"]], ["poison", "true", "2"]);
    assert.equal(again.headers["message-id"], poison.headers["message-id"]);
    second.drop();
    const grave = await consume(c, `${queue}.dead`);
    const dead = await grave.expect("MESSAGE");
    assert.deepEqual(
      [dead.text, dead.headers["dead-letter-from"], dead.headers["dead-letter-reason"]],
      ["poison", queue, "max-deliveries"],
    );
    await ack(grave, dead);
    [first, grave].forEach((session) => session.drop());
  });

  test("a queue that is full is full on every node", async () => {
    const queue = freshQueue("full");
    const [a, b, c] = await Promise.all(cluster.nodes.map((node) => connect(node, overTcp)));
    await put(a, queue, ["1", "2"]);
    await put(b, queue, ["3"]);
    c.send("SEND", { destination: queue });
    await c.expectError(new RegExp(queue));
    [a, b].forEach((session) => session.drop());
  });

  test("a transaction over several queues takes effect on all nodes at once, or not at all", async () => {
    const [full, requests, answers] = [freshQueue("full"), freshQueue(), freshQueue()];
    const [a, b] = cluster.nodes;
    const session = await consume(a, requests);
    await put(session, requests, ["request"]);
    const answer = async (others) => {
      const request = await session.expect("MESSAGE");
      const transaction = { transaction: "t" };
      await session.request("BEGIN", transaction);
      await session.request("ACK", { id: request.headers.ack, ...transaction });
      await session.request("SEND", { destination: answers, ...transaction }, "answer");
      for (const destination of others) {
        await session.request("SEND", { destination, ...transaction });
      }
      session.send("COMMIT", { ...transaction, receipt: "committed" });
    };
    await answer([]);
    await session.expect("RECEIPT");
    assert.deepEqual(textsOf(await leftIn(b, answers)), ["answer"]);

    await put(session, requests, ["another"]);
    await answer([full, full, full, full]);
    await session.expectError(/full/);
    assert.deepEqual(await leftIn(b, answers), []);
    assert.deepEqual(await leftIn(b, full), []);
    const next = await consume(b, requests);
    assert.equal((await next.expect("MESSAGE")).text, "another");
    next.drop();
  });

  test("the application's consumers are on any node, and know the sender's", async () => {
    const [a, , c] = cluster.nodes;
    const application = await connect(c, overTcp, { login: "bob", passcode: "builder" });
    await application.subscribe("/app/**", "0", INDIVIDUAL);
    const client = await connect(a, overTcp, { login: "alice", passcode: "wonderland" });
    await client.subscribe("/user/queue/answers");
    await client.request("SEND", { destination: "/app/x" });
    const message = await application.expect("MESSAGE");
    assert.equal(message.headers.node, "node-a");
    assert.equal(message.headers.user, "alice");
    assert.equal(message.headers.session, client.connected.headers.session);
    const { user, session } = message.headers;
    await application.request("SEND", { destination: `/user/${user}/queue/answers`, session }, "answer");
    assert.equal((await client.expect("MESSAGE")).text, "answer");
    await ack(application, message);
    [application, client].forEach((one) => one.drop());
  });

  test("a consumer that takes longer than node-timeout keeps what it has", async () => {
    const queue = freshQueue();
    const [a, b] = cluster.nodes;
    const slow = await consume(a, queue);
    await put(slow, queue, ["a"]);
    const message = await slow.expect("MESSAGE");
    const other = await consume(b, queue);
    await sleep(NODE_TIMEOUT_MS * 1.5);
    await mustStayQuiet(other);
    await ack(slow, message);
    await slow.request("UNSUBSCRIBE", { id: "0" });
    await mustStayQuiet(other);
    [slow, other].forEach((session) => session.drop());
  });
});

describe("What fails", { concurrency: true }, () => {
  test("the node that holds deliveries is killed: they go to another node's consumer", () =>
    withCluster(async ({ nodes: [a, b] }) => {
      const queue = freshQueue();
      const holder = await consume(a, queue, { "prefetch-count": 5 });
      await put(holder, queue, texts(8));
      const held = await take(holder, 5);
      await ack(holder, held[1]);
      await take(holder, 1);
      const other = await consume(b, queue);
      assert.deepEqual(textsOf(await take(other, 2)), ["6", "7"]);
      const began = Date.now();
      await a.crash();
      const back = await take(other, 5);
      const took = Date.now() - began;
      assert.ok(took < 3 * NODE_TIMEOUT_MS, `it took ${took} ms`);
      assert.deepEqual(inOrder(textsOf(back)), ["0", "2", "3", "4", "5"]);
      for (const { headers } of back) {
        assert.deepEqual([headers.redelivered, headers["delivery-count"]], ["true", "2"]);
      }
      await mustStayQuiet(other);
    }));

  test("the node is started again at once: it finds what it had itself", () =>
    withCluster(
      async (cluster) => {
        const [node] = cluster.nodes;
        const queue = freshQueue();
        const holder = await consume(node, queue);
        await put(holder, queue, texts(3));
        await take(holder, 3);
        await node.crash();
        await cluster.startNode(node);
        const next = await consume(node, queue);
        const back = await take(next, 3);
        assert.deepEqual(textsOf(back), texts(3));
        back.forEach(({ headers }) => assert.equal(headers["delivery-count"], "2"));
      },
      { size: 1 },
    ));

  test("a node drains: what it holds goes to others at once, and does not count as a delivery", () =>
    withCluster(async ({ nodes: [a, b] }) => {
      const queue = freshQueue();
      const holder = await consume(a, queue);
      await put(holder, queue, texts(5));
      await take(holder, 5);
      const other = await consume(b, queue);
      await a.stop();
      const back = await take(other, 5);
      assert.doesNotMatch(b.log, /silent for node-timeout/);
      assert.deepEqual(textsOf(back), texts(5));
      back.forEach(({ headers }) => assert.equal(headers["delivery-count"], undefined));
    }));

  test("a node is frozen and found dead: what it held is another's, and its late ACK takes nothing away", () =>
    withCluster(async ({ nodes: [a, b] }) => {
      const queue = freshQueue();
      const holder = await consume(a, queue);
      await put(holder, queue, ["a"]);
      const message = await holder.expect("MESSAGE");
      const other = await consume(b, queue);
      a.kill("SIGSTOP");
      const again = await other.expect("MESSAGE");
      assert.equal(again.headers["delivery-count"], "2");
      a.kill("SIGCONT");
      await ack(holder, message);
      await nack(other, again);
      const third = await eventually("it once more", () => [...holder.frames, ...other.frames][0]);
      assert.equal(third.headers["delivery-count"], "3");
      await untilReady(a);
      const queueOfLate = freshQueue();
      const late = await consume(a, queueOfLate);
      await put(await connect(b, overTcp), queueOfLate, ["node-a is back"]);
      assert.equal((await late.expect("MESSAGE")).text, "node-a is back");
    }));

  test("Redis is killed and started again with its append-only file: nothing is lost, and what was held comes again", () =>
    withCluster(
      async ({ nodes: [a, b] }, redis) => {
        const queue = freshQueue();
        const holder = await consume(a, queue, { "prefetch-count": 5 });
        await put(holder, queue, texts(20));
        const held = await take(holder, 5);
        await ack(holder, held[0]);
        await take(holder, 1);
        await redis.kill();
        const acked = ack(holder, held[1]);
        const sent = put(holder, queue, ["20"]);
        await redis.start();
        await Promise.all([acked, sent, ...[a, b].map(untilReady)]);
        const other = await consume(b, queue);
        // What this node had is given back before it says what it has settled meanwhile, so "1" may come again too.
        const arrived = () => [...holder.frames, ...other.frames].filter(({ text }) => text !== "1");
        await eventually("all that was not acknowledged", () => new Set(textsOf(arrived())).size === 19);
        assert.deepEqual(inOrder(textsOf(arrived())), inOrder(texts(21).slice(2)));
        [...holder.frames, ...other.frames].forEach(({ text, headers }) =>
          assert.equal(headers["delivery-count"], Number(text) <= 5 ? "2" : undefined, text),
        );
      },
      {},
      DURABLE,
    ));

  test("the links to Redis break under traffic: nothing is lost, and nothing comes twice", () =>
    withCluster(async (cluster, redis) => {
      const queue = freshQueue();
      const gate = { limit: 0 };
      const producers = cluster.nodes.map((node, i) =>
        new Producer(
          node,
          queue,
          numbers(3000).filter((number) => number % 2 === i),
          gate,
        ).start(),
      );
      const consumers = cluster.nodes.map((node, i) => new Consumer(node, TRANSPORTS[i], queue).start());
      const heard = () => consumers.flatMap((consumer) => consumer.heard);
      for (let limit = 1000; limit <= 3000; limit += 1000) {
        gate.limit = limit;
        await eventually(`half of ${limit}`, () => heard().length >= limit - 500);
        await redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      }
      await Promise.all(producers.map(({ done }) => done));
      await eventually("all", () => new Set(heard()).size === 3000);
      assert.ok((await metric(cluster.nodes[0], "stompd_redis_connects_total")) > 1);
      await Promise.all(consumers.map((consumer) => consumer.stop()));
      assert.deepEqual(inOrder(heard()), numbers(3000));
      assert.deepEqual(await leftIn(cluster.nodes[0], queue), []);
      assert.deepEqual(
        [...producers, ...consumers].flatMap(({ troubles }) => troubles),
        [],
      );
    }));

  test("Redis is frozen: receipts wait, of SEND, ACK, COMMIT and DISCONNECT, and come when it goes on", () =>
    withCluster(async ({ nodes: [a, b] }, redis) => {
      const queue = freshQueue();
      const consumer = await consume(a, queue);
      const senders = await Promise.all([a, b, b].map((node) => connect(node, overTcp)));
      await put(senders[0], queue, ["0"]);
      const message = await consumer.expect("MESSAGE");
      await senders[2].request("BEGIN", { transaction: "t" });
      await senders[2].request("SEND", { destination: queue, transaction: "t" }, "3");
      redis.pause();
      senders[1].send("SEND", { destination: queue }, "2");
      const receipts = [
        put(senders[0], queue, ["1"]),
        ack(consumer, message),
        senders[1].request("DISCONNECT"),
        senders[2].request("COMMIT", { transaction: "t" }),
      ];
      let early = 0;
      receipts.forEach((receipt) => receipt.then(() => early++));
      await sleep(700);
      assert.equal(early, 0);
      redis.resume();
      await Promise.all(receipts);
      assert.deepEqual(inOrder(textsOf(await take(consumer, 3))), ["1", "2", "3"]);
    }));

  test("Redis stays away: who sends is told so after pause-time, and may come again", () =>
    withCluster(
      async ({ nodes: [a] }, redis) => {
        const queue = freshQueue();
        const [sender, consumer] = [await connect(a, overTcp), await consume(a, queue)];
        await redis.stop();
        sender.send("SEND", { destination: queue, receipt: "never" });
        await sender.expectError(/pause-time/);
        assert.equal(consumer.closed, null);
        await redis.start();
        await untilReady(a);
        const again = await connect(a, overTcp);
        await put(again, queue, ["again"]);
        await consumer.expect({ command: "MESSAGE" });
      },
      { size: 1, conf: { limits: { "pause-time": "1s" } } },
      DURABLE,
    ));
});

describe("10,000 messages through 10 consumers on three nodes", () => {
  const COUNT = 10_000;

  /**
   * `faults` may break what it likes while messages flow, up to the number gate.limit; until(count) waits until so many
   * have been heard. Gives how many came more than once; none may be missing.
   */
  async function run(t, faults) {
    let counts;
    await withCluster(
      async (cluster, redis) => {
        const queue = freshQueue();
        const { nodes } = cluster;
        const gate = { limit: 0 };
        const consumers = numbers(9).map((i) => new Consumer(nodes[i % 3], TRANSPORTS[i % 2], queue));
        const python = new PythonConsumer(nodes[2], queue);
        [...consumers, python].forEach((consumer) => consumer.start());
        await eventually(`stomp.py to subscribe\n${python.child.log}`, () => /^subscribed$/m.test(python.child.log));
        const producers = nodes.map((node, i) =>
          new Producer(
            node,
            queue,
            numbers(COUNT).filter((number) => number % 3 === i),
            gate,
          ).start(),
        );
        const heard = () => [...consumers, python].flatMap((consumer) => consumer.heard);
        const until = (count) => eventually(`${count} of ${COUNT}`, () => new Set(heard()).size >= count);
        await faults({ cluster, redis, gate, until });
        gate.limit = COUNT;
        await Promise.all(producers.map(({ done }) => done));
        await until(COUNT);
        assert.ok(python.heard.length > 0, python.child.log);
        await Promise.all([...consumers, python].map((consumer) => consumer.stop()));
        const left = (await leftIn(nodes[0], queue)).map(({ text }) => Number(text));
        counts = numbers(COUNT).map(() => 0);
        [...heard(), ...left].forEach((number) => counts[number]++);
        t.diagnostic(`${python.heard.length} of ${COUNT} came to stomp.py`);
        assert.deepEqual(await leftIn(nodes[0], `${queue}.dead`), []);
      },
      { size: 3 },
      DURABLE,
    );
    const lost = numbers(COUNT).filter((number) => counts[number] === 0);
    assert.deepEqual(lost, []);
    return counts.filter((count) => count > 1).length;
  }

  test("without a fault, each comes once", async (t) => {
    assert.equal(await run(t, () => {}), 0);
  });

  test("while a node is killed and started again, and Redis is: none is lost", async (t) => {
    const doubled = await run(t, async ({ cluster, redis, gate, until }) => {
      const [, b] = cluster.nodes;
      gate.limit = 4000;
      await until(2000);
      await b.crash();
      gate.limit = 7000;
      await until(4500);
      await cluster.startNode(b);
      await until(5500);
      await redis.kill();
      await redis.start();
      gate.limit = COUNT;
    });
    t.diagnostic(`${doubled} of ${COUNT} came more than once`);
    assert.ok(doubled < 1000, `${doubled} came more than once`);
  });
});
