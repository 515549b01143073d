// Nodes come, die and go: a dead node's users are gone within node-timeout, those of the others stay, and a name can be
// taken again by the next process, but by no two at once.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ask, Cluster, newNode, NODE_TIMEOUT_MS, nodesAlive, onlineUsers, sessionsOf } from "./lib/cluster.mjs";
import { eventually } from "./lib/eventually.mjs";
import { connect, freshTopic, overTcp, overWebSocket } from "./lib/transports.mjs";

const ALICE = { login: "alice", passcode: "wonderland" };
const BOB = { login: "bob", passcode: "builder" };

/** When the machine is busy, all that takes node-timeout may take this much longer; it must end all the same. */
const SLACK_MS = 10_000;

async function withCluster(size, body) {
  const cluster = await new Cluster({ size }).start();
  try {
    await body(cluster, ...cluster.nodes);
  } finally {
    await cluster.stop();
  }
}

/** All that Redis knows of this boot. */
async function traces(redis, boot) {
  const keys = await redis.command("KEYS", "*");
  const found = keys.filter((key) => key.includes(boot));
  for (const key of keys.filter((name) => name.startsWith("stompd:user:"))) {
    found.push(...(await redis.command("SMEMBERS", key)).filter((session) => session.startsWith(boot)));
  }
  return found;
}

const bootOf = (session) => /^[^:]*:[^:]*/.exec(session.connected.headers.session)[0];

describe("A node that is killed", { concurrency: true }, () => {
  test("is cleaned up after within node-timeout, and nothing else is", () =>
    withCluster(3, async ({ redis }, a, b, c) => {
      const dead = await Promise.all(Array.from({ length: 300 }, () => connect(a, overTcp, ALICE)));
      const [alice, bob] = [await connect(b, overTcp, ALICE), await connect(c, overTcp, BOB)];
      await eventually("all to be known", async () => (await onlineUsers(c)).alice === 301);
      const boot = bootOf(dead[0]);
      await a.crash();
      const limit = NODE_TIMEOUT_MS + SLACK_MS;
      for (const node of [b, c]) {
        await eventually("one alice", async () => (await onlineUsers(node)).alice === 1, limit);
        await eventually("two nodes", async () => (await nodesAlive(node)).length === 2, limit);
        assert.deepEqual(await sessionsOf(node, "alice"), [alice.connected.headers.session]);
        assert.deepEqual(await sessionsOf(node, "bob"), [bob.connected.headers.session]);
        assert.deepEqual(await nodesAlive(node), ["node-b", "node-c"]);
      }
      assert.deepEqual(await traces(redis, boot), []);
    }));

  test("comes back under its name at once, and its new sessions are not cleaned up with the old ones", () =>
    withCluster(2, async (cluster, a, b) => {
      const old = await connect(a, overTcp, ALICE);
      await eventually("alice", async () => (await onlineUsers(b)).alice === 1);
      await a.crash();
      await cluster.startNode(a);
      const [alice, bob] = [await connect(a, overTcp, ALICE), await connect(b, overTcp, BOB)];
      const { session } = alice.connected.headers;
      const isAlone = (ids) => ids.length === 1 && ids[0] === session;
      await eventually("the new alice alone", async () => isAlone(await sessionsOf(b, "alice")));
      const topic = freshTopic();
      await alice.subscribe(topic);
      await bob.request("SEND", { destination: topic }, "to the new one");
      assert.equal((await alice.expect("MESSAGE")).text, "to the new one");
      await alice.request("SEND", { destination: "/topic/none" });
      await bob.subscribe(topic, "1");
      await alice.request("SEND", { destination: topic }, "from the new one");
      await bob.expect({ command: "MESSAGE", subscription: "1" });
      assert.deepEqual(await traces(cluster.redis, bootOf(old)), []);
      await eventually("both nodes", async () => (await nodesAlive(b)).join() === "node-a,node-b");
    }));

  test("with all others: the first that starts again cleans up after all", () =>
    withCluster(3, async (cluster, a, b, c) => {
      const sessions = await Promise.all([a, b, c].map((node) => connect(node, overTcp, ALICE)));
      await eventually("three", async () => (await onlineUsers(a)).alice === 3);
      await Promise.all([a, b, c].map((node) => node.crash()));
      await cluster.startNode(b);
      await eventually("nobody", async () => (await onlineUsers(b)).alice === undefined);
      await eventually("one node", async () => (await nodesAlive(b)).length === 1);
      for (const session of sessions) {
        assert.deepEqual(await traces(cluster.redis, bootOf(session)), []);
      }
    }));

  test("is dead to the others while it is stopped for longer than node-timeout, and alive when it goes on", () =>
    withCluster(2, async (cluster, a, b) => {
      const alice = await connect(a, overWebSocket, ALICE);
      await eventually("alice", async () => (await onlineUsers(b)).alice === 1);
      a.kill("SIGSTOP");
      await eventually("alice to be gone", async () => (await onlineUsers(b)).alice === undefined);
      a.kill("SIGCONT");
      await eventually("alice to be back", async () => (await onlineUsers(b)).alice === 1);
      const topic = freshTopic();
      await alice.subscribe(topic);
      const bob = await connect(b, overTcp, BOB);
      await bob.request("SEND", { destination: topic }, "welcome back");
      assert.equal((await alice.expect("MESSAGE")).text, "welcome back");
      await bob.subscribe(topic, "1");
      await alice.request("SEND", { destination: topic }, "thanks");
      await bob.expect((frame) => frame.text === "thanks");
    }));
});

describe("A node that is told to end", { concurrency: true }, () => {
  test("leaves at once, with its users", () =>
    withCluster(2, async ({ redis }, a, b) => {
      const alice = await connect(a, overTcp, ALICE);
      await eventually("alice", async () => (await onlineUsers(b)).alice === 1);
      await a.stop();
      assert.deepEqual(await traces(redis, bootOf(alice)), []);
      assert.deepEqual(await onlineUsers(b), {});
      await eventually("one node", async () => (await nodesAlive(b)).length === 1);
    }));

  test("leaves also when Redis is away, and does not wait for it", () =>
    withCluster(2, async ({ redis }, a) => {
      const alice = await connect(a, overTcp, ALICE);
      await redis.stop();
      await a.stop();
      await alice.waitFor("its end", () => alice.closed);
      await redis.start();
    }));

  test("the last one leaves nothing behind", () =>
    withCluster(2, async ({ redis }, a, b) => {
      await Promise.all([a, b].map((node) => connect(node, overTcp, ALICE)));
      await Promise.all([a.stop(), b.stop()]);
      assert.deepEqual(await redis.command("KEYS", "*"), []);
    }));
});

describe("A name that is in use", () => {
  test("is refused to a second node, which ends and says why; the first one goes on", () =>
    withCluster(1, async ({ redis }, a) => {
      const alice = await connect(a, overTcp, ALICE);
      const second = newNode("node-a", redis);
      await second.launch();
      const [code] = await second.exited;
      assert.equal(code, 1);
      assert.match(second.log, /node-a/);
      assert.match(second.log, /in use|renew/);
      assert.equal((await ask(a, "/readyz")).status, 200);
      await eventually("alice still", async () => (await onlineUsers(a)).alice === 1);
      alice.drop();
    }));
});
