// Redis is stopped, killed, frozen, emptied and full under traffic: clients stay, local traffic goes on, what was sent
// for other nodes arrives late, and all is as before afterwards, without a restart. Counted message by message.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { ask, Cluster, metric, newNode, NODE_TIMEOUT_MS, onlineUsers, untilReady } from "./lib/cluster.mjs";
import { eventually } from "./lib/eventually.mjs";
import { Redis } from "./lib/redis.mjs";
import { assertInOrder, heardLast, heardOf, missing, Publisher } from "./lib/traffic.mjs";
import { connect, freshTopic, overTcp, overWebSocket } from "./lib/transports.mjs";

const ALICE = { login: "alice", passcode: "wonderland" };

/** A cluster of its own, with a publisher on each node and a reader on each. */
async function withTraffic(body) {
  const cluster = await new Cluster().start();
  try {
    const topic = freshTopic();
    const readers = await Promise.all(cluster.nodes.map((node) => connect(node, overWebSocket, ALICE)));
    await Promise.all(readers.map((reader) => reader.subscribe(topic)));
    const senders = await Promise.all(cluster.nodes.map((node) => connect(node, overTcp)));
    const publishers = senders.map((session, i) => new Publisher(session, topic, `publisher-${i}`).start());
    const ways = publishers.flatMap((publisher) => readers.map((reader) => [reader, publisher]));
    await Promise.all(ways.map((way) => eventually("traffic", () => heardOf(...way).length > 20)));
    await body({ cluster, redis: cluster.redis, topic, readers, publishers });
  } finally {
    await cluster.stop();
  }
}

/**
 * After the publishers are stopped: each reader has heard, in order and once, all of its own node's publisher, and of
 * the other's all but those that `mayMiss` allows.
 */
async function checkHeard({ readers, publishers }, mayMiss = () => false) {
  await Promise.all(publishers.map((publisher) => publisher.stop()));
  for (const [i, reader] of readers.entries()) {
    for (const [j, publisher] of publishers.entries()) {
      await heardLast(reader, publisher);
      const heard = heardOf(reader, publisher);
      const what = `the reader on node ${i} of the publisher on node ${j}`;
      assertInOrder(heard, what);
      const missed = missing(heard, 0, publisher.next).filter((number) => i === j || !mayMiss(i, j, number));
      assert.deepEqual(missed, [], `${what} has missed of ${publisher.next}`);
      assert.equal(publisher.confirmed.size, publisher.next);
    }
  }
}

/** What is on its way when Redis is killed may be lost: those sent before and not heard yet. */
function onTheWay({ readers, publishers }) {
  const sent = publishers.map(({ next }) => next);
  const heard = readers.map((reader) => publishers.map((publisher) => new Set(heardOf(reader, publisher))));
  return (i, j, number) => number < sent[j] && !heard[i][j].has(number);
}

/** Until these nodes have been connected to Redis anew, after `cut` has ended their connections, and are ready. */
async function whileCut(nodes, cut) {
  const connects = (node) => metric(node, "stompd_redis_connects_total");
  const before = await Promise.all(nodes.map(connects));
  await cut();
  for (const [i, node] of nodes.entries()) {
    await eventually(`${node.node} to be connected again`, async () => (await connects(node)) > before[i]);
    await untilReady(node);
  }
}

/** Until every reader has heard something that each publisher sends from now on. */
async function untilHeardAnew({ readers, publishers }) {
  const ways = publishers.flatMap((publisher) => readers.map((reader) => ({ publisher, reader, from: publisher.next })));
  await Promise.all(
    ways.map(({ publisher, reader, from }) =>
      eventually(`message ${from} of ${publisher.name}`, () => heardOf(reader, publisher).some((number) => number >= from)),
    ),
  );
}

async function aliceIsKnown(cluster) {
  for (const node of cluster.nodes) {
    await eventually("alice to be known again", async () => (await onlineUsers(node)).alice === 2);
  }
}

describe("Redis under traffic", { concurrency: true }, () => {
  for (const [name, end] of [
    ["stopped", (redis) => redis.stop()],
    ["killed", (redis) => redis.kill()],
  ]) {
    test(`is ${name} and comes back empty: what was sent meanwhile arrives late`, () =>
      withTraffic(async (scene) => {
        const { cluster, redis, readers } = scene;
        await end(redis);
        const mayMiss = onTheWay(scene);
        await sleep(700);
        await redis.start();
        await Promise.all(cluster.nodes.map(untilReady));
        await sleep(300);
        await checkHeard(scene, mayMiss);
        await aliceIsKnown(cluster);
        readers.forEach((reader) => assert.equal(reader.closed, null));
      }));
  }

  test("is frozen for longer than node-timeout: nobody is declared dead, nothing is lost", () =>
    withTraffic(async (scene) => {
      const { cluster, redis } = scene;
      redis.pause();
      await sleep(NODE_TIMEOUT_MS * 1.7);
      redis.resume();
      await sleep(500);
      await checkHeard(scene);
      await aliceIsKnown(cluster);
      const logs = cluster.nodes.map(({ log }) => log).join("");
      assert.doesNotMatch(logs, /silent for node-timeout/);
    }));

  test("is frozen for so long that nodes give the link up: nobody is declared dead, nothing is lost", () =>
    withTraffic(async (scene) => {
      const { cluster, redis } = scene;
      redis.pause();
      await eventually("the nodes to give up", async () => (await ask(cluster.nodes[0], "/readyz")).status !== 200);
      await sleep(NODE_TIMEOUT_MS);
      redis.resume();
      await Promise.all(cluster.nodes.map(untilReady));
      await sleep(500);
      await checkHeard(scene);
      await aliceIsKnown(cluster);
      const logs = cluster.nodes.map(({ log }) => log).join("");
      assert.doesNotMatch(logs, /silent for node-timeout/);
    }));

  test("is emptied: traffic does not notice, and the registry is restored", () =>
    withTraffic(async (scene) => {
      const { cluster, redis } = scene;
      await redis.command("FLUSHALL");
      await aliceIsKnown(cluster);
      await eventually("the nodes' entries", async () => (await redis.command("HLEN", "stompd:nodes")) === 2);
      await checkHeard(scene);
    }));

  test("loses all connections, time and again: what was sent meanwhile arrives", () =>
    withTraffic(async (scene) => {
      const { cluster, redis } = scene;
      const lost = [];
      for (let i = 0; i < 3; i++) {
        await whileCut(cluster.nodes, async () => {
          lost.push(onTheWay(scene));
          const kills = [["normal", "SKIPME", "yes"], ["pubsub"]];
          await Promise.all(kills.map((type) => redis.command("CLIENT", "KILL", "TYPE", ...type)));
        });
        await untilHeardAnew(scene);
      }
      await checkHeard(scene, (...which) => lost.some((mayMiss) => mayMiss(...which)));
      await aliceIsKnown(cluster);
    }));

  test("loses one node's connections: all that is published there meanwhile arrives on the other", () =>
    withTraffic(async (scene) => {
      const { cluster, redis, publishers } = scene;
      const [a] = cluster.nodes;
      for (let i = 0; i < 3; i++) {
        await whileCut([a], async () => {
          const clients = (await redis.command("CLIENT", "LIST")).split("\n");
          const links = clients.filter((client) => client.includes(` name=stompd:${a.node} `));
          assert.equal(links.length, 2);
          const ids = links.map((client) => /^id=(\d+)/.exec(client)[1]);
          redis.pause(); // it finds the kills first, and what the node sends after them is lost on the way
          const kills = ids.map((id) => redis.command("CLIENT", "KILL", "ID", id));
          await sleep(100);
          redis.resume();
          await Promise.all(kills);
        });
        await untilHeardAnew(scene);
      }
      const sentMeanwhile = publishers[1].next;
      await checkHeard(scene, (i, j, number) => i === 0 && number < sentMeanwhile); // what it could not hear
      await aliceIsKnown(cluster);
    }));
});

describe("While Redis is away", { concurrency: true }, () => {
  const ways = [
    ["stopped", (redis) => redis.stop(), (redis) => redis.start()],
    ["frozen", (redis) => redis.pause(), (redis) => redis.resume()],
  ];
  for (const [name, leave, comeBack] of ways) {
    test(`${name}: a SUBSCRIBE's receipt waits, and means all nodes once it comes`, async () => {
      const cluster = await new Cluster().start();
      try {
        const topic = freshTopic();
        const [reader, local] = await Promise.all([0, 0].map((i) => connect(cluster.nodes[i], overTcp)));
        const remote = await connect(cluster.nodes[1], overTcp);
        await leave(cluster.redis);
        const subscribed = reader.subscribe(topic);
        const isEarly = await Promise.race([subscribed.then(() => true), sleep(500).then(() => false)]);
        assert.equal(isEarly, false);
        await local.request("SEND", { destination: topic }, "from the same node");
        assert.equal((await reader.expect("MESSAGE")).text, "from the same node");
        await comeBack(cluster.redis);
        await subscribed;
        await remote.request("SEND", { destination: topic }, "from the other node");
        assert.equal((await reader.expect("MESSAGE")).text, "from the other node");
      } finally {
        await cluster.stop();
      }
    });
  }

  test("users come and go, and the registry knows it afterwards", async () => {
    const cluster = await new Cluster().start();
    try {
      const [a, b] = cluster.nodes;
      const alice = await connect(a, overTcp, ALICE);
      await eventually("alice", async () => (await onlineUsers(b)).alice === 1);
      await cluster.redis.stop();
      const bob = await connect(a, overTcp, { login: "bob", passcode: "builder" });
      await alice.request("DISCONNECT");
      await cluster.redis.start();
      await Promise.all(cluster.nodes.map(untilReady));
      await eventually("bob alone", async () => {
        const users = await onlineUsers(b);
        return users.bob === 1 && users.alice === undefined;
      });
      bob.drop();
    } finally {
      await cluster.stop();
    }
  });

  test("no more than `buffer` is kept, the rest is dropped, counted and logged once", async () => {
    const cluster = await new Cluster({ conf: { cluster: { buffer: "64k" } } }).start();
    try {
      const [a, b] = cluster.nodes;
      const topic = freshTopic();
      const [sender, near, far] = await Promise.all([a, a, b].map((node) => connect(node, overTcp)));
      await Promise.all([near, far].map((reader) => reader.subscribe(topic)));
      await cluster.redis.stop();
      await eventually("node-a to notice", async () => (await ask(a, "/readyz")).status !== 200);
      const body = (number) => `${number}`.padEnd(1000, "x");
      const all = Array.from({ length: 300 }, (_, number) => body(number));
      for (const text of all) {
        await sender.request("SEND", { destination: topic }, text);
      }
      await near.waitFor("all messages", () => near.frames.length === 300);
      await cluster.redis.start();
      await Promise.all(cluster.nodes.map(untilReady));
      await sender.request("SEND", { destination: topic }, "afterwards");
      await far.waitFor("the last message", () => far.frames.at(-1)?.text === "afterwards");
      const kept = far.frames.length - 1;
      assert.deepEqual(
        far.frames.map(({ text }) => text),
        [...all.slice(0, kept), "afterwards"],
      );
      assert.ok(kept > 20 && kept < 64, `${kept} of 300 were kept`);
      assert.equal(await metric(a, "stompd_cluster_publications_dropped_total"), 300 - kept);
      assert.equal(a.log.match(/drop/g)?.length, 1, a.log);
    } finally {
      await cluster.stop();
    }
  });

  test("a node starts, serves its own clients, and joins later", async () => {
    const redis = await new Redis().start();
    await redis.stop();
    const node = newNode("node-a", redis);
    await node.start();
    try {
      const [one, other] = [await connect(node, overTcp), await connect(node, overWebSocket)];
      const topic = freshTopic();
      one.send("SUBSCRIBE", { id: "0", destination: topic });
      await one.request("SEND", { destination: freshTopic() }); // waits until all of this node knows of it
      await other.request("SEND", { destination: topic }, "alone");
      assert.equal((await one.expect("MESSAGE")).text, "alone");
      assert.notEqual((await ask(node, "/readyz")).status, 200);
      assert.equal((await ask(node, "/healthz")).status, 200);
      await redis.start();
      await untilReady(node);
    } finally {
      await node.stop();
      await redis.remove();
    }
  });
});

describe("A Redis that does not do", { concurrency: true }, () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "stompd-secrets-"));
  after(() => fs.rmSync(folder, { recursive: true }));

  /** Starts a node at this Redis; it must log what matches, and be ready once `mend` is done. */
  async function complainsThenJoins(redis, wanted, mend, cluster = {}) {
    const node = newNode("node-a", redis, { cluster });
    await node.start();
    try {
      await eventually(`${wanted} in the log:\n${node.log}`, () => wanted.test(node.log));
      assert.notEqual((await ask(node, "/readyz")).status, 200);
      await mend();
      await untilReady(node);
      await node.stop();
    } finally {
      node.kill("SIGKILL");
      await redis.remove();
    }
  }

  test("asks for a password that the node has not: it says so, and joins when it is right", async () => {
    const redis = await new Redis({ config: { requirepass: "secret" } }).start();
    const file = path.join(folder, "password");
    fs.writeFileSync(file, "wrong\n");
    const mend = async () => {
      await redis.command("AUTH", "secret");
      await redis.command("CONFIG", "SET", "requirepass", "wrong");
    };
    await complainsThenJoins(redis, /password/i, mend, { "password-file": file });
  });

  test("is a replica that can't be written: it says so", async () => {
    const redis = await new Redis().start();
    await redis.command("REPLICAOF", "127.0.0.1", "1");
    await complainsThenJoins(redis, /replica|read.?only/i, () => redis.command("REPLICAOF", "NO", "ONE"));
  });

  test("has no memory left: it says so", async () => {
    const redis = await new Redis({ config: { maxmemory: "1", "maxmemory-policy": "noeviction" } }).start();
    await complainsThenJoins(redis, /memory/i, () => redis.command("CONFIG", "SET", "maxmemory", "0"));
  });

  test("runs out of memory under traffic, which goes on", () =>
    withTraffic(async (scene) => {
      const { cluster, redis } = scene;
      await redis.command("CONFIG", "SET", "maxmemory", "1");
      await eventually("a word about it", () => cluster.nodes.some(({ log }) => /memory/i.test(log)));
      await redis.command("CONFIG", "SET", "maxmemory", "0");
      await Promise.all(cluster.nodes.map(untilReady));
      await checkHeard(scene);
      await aliceIsKnown(cluster);
    }));
});

describe("Ways to Redis", { concurrency: true }, () => {
  /** Starts a Redis and a node for each name, with what `settings` says of its [cluster] section. */
  async function withNodes(options, settings, body) {
    const redis = await new Redis(options).start();
    const nodes = settings.map(([name, cluster]) => newNode(name, redis, { cluster: cluster(redis) }));
    try {
      await Promise.all(nodes.map((node) => node.start().then(() => untilReady(node))));
      await body(redis, nodes);
      await Promise.all(nodes.map((node) => node.stop()));
      assert.deepEqual(await redis.command("KEYS", "*"), []);
    } finally {
      nodes.filter((node) => node.child !== undefined && node.isRunning).forEach((node) => node.kill("SIGKILL"));
      await redis.remove();
    }
  }

  const ways = [
    ["a unix socket", { unix: true }, (redis) => redis.address],
    [
      "a user, a password and a database",
      { config: { user: ["me", "on", ">p@ss", "~*", "&*", "+@all"] } },
      (redis) => `redis://me:p%40ss@${redis.address}/3`,
    ],
  ];
  for (const [name, options, address] of ways) {
    test(`by ${name}`, () => {
      const cluster = (redis) => ({ redis: address(redis) });
      const settings = ["node-a", "node-b"].map((node) => [node, cluster]);
      return withNodes(options, settings, async (redis, nodes) => {
        const [reader, sender] = await Promise.all(nodes.map((node) => connect(node, overTcp)));
        const topic = freshTopic();
        await reader.subscribe(topic);
        await sender.request("SEND", { destination: topic }, name);
        assert.equal((await reader.expect("MESSAGE")).text, name);
      });
    });
  }

  test("two clusters with prefixes of their own share a Redis, and hear nothing of each other", () => {
    const settings = ["one:", "two:"].map((prefix) => ["node-a", () => ({ prefix })]);
    return withNodes({}, settings, async (redis, nodes) => {
      const [reader, sender] = await Promise.all(nodes.map((node) => connect(node, overTcp, ALICE)));
      const topic = freshTopic();
      await reader.subscribe(topic);
      await sender.subscribe(topic);
      await sender.request("SEND", { destination: topic }, "mine");
      await sender.expect("MESSAGE");
      await reader.request("SEND", { destination: topic }, "yours");
      assert.equal((await reader.expect("MESSAGE")).text, "yours");
      assert.equal((await onlineUsers(nodes[0])).alice, 1);
      assert.equal((await redis.command("SMEMBERS", "one:user:alice")).length, 1);
    });
  });

  test("registry-prefix makes the sets those that Spring applications read", () => {
    const settings = [["node-a", () => ({ "registry-prefix": "spring:websockets:users:" })]];
    return withNodes({}, settings, async (redis, [node]) => {
      const alice = await connect(node, overTcp, ALICE);
      const members = () => redis.command("SMEMBERS", "spring:websockets:users:alice");
      await eventually("alice's set", async () => (await members())[0] === alice.connected.headers.session);
    });
  });
});
