// A node that is cut from Redis without a word, as by a pulled cable, while its clients are not: a network namespace
// with a cable to its clients and one to Redis.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { newNode, onlineUsers, untilReady } from "./lib/cluster.mjs";
import { eventually } from "./lib/eventually.mjs";
import { Namespace } from "./lib/netns.mjs";
import { Redis } from "./lib/redis.mjs";
import { assertInOrder, heardLast, heardOf, missing, Publisher } from "./lib/traffic.mjs";
import { connect, freshTopic, overTcp, overWebSocket } from "./lib/transports.mjs";

const ALICE = { login: "alice", passcode: "wonderland" };
const BOB = { login: "bob", passcode: "builder" };

const namespace = new Namespace();
const redis = new Redis({ config: { bind: ["127.0.0.1", namespace.back.outside] } });

let cut; // the node in the namespace
let free;

before(async () => {
  await redis.start();
  const address = `${namespace.back.outside}:${redis.port}`;
  cut = newNode(
    "node-a",
    redis,
    { cluster: { redis: address }, admin: null },
    { host: namespace.front.inside, within: namespace.within },
  );
  free = newNode("node-b", redis);
  await Promise.all([cut.start(), free.start().then(() => untilReady(free))]);
});
after(async () => {
  namespace.mend();
  await Promise.all([cut, free].map((node) => node.stop()));
  await redis.remove();
  namespace.remove();
});

/** Readers and publishers on both nodes. */
async function makeTraffic() {
  const topic = freshTopic();
  const [alice, bob] = [await connect(cut, overWebSocket, ALICE), await connect(free, overWebSocket, BOB)];
  await Promise.all([alice, bob].map((session) => session.subscribe(topic)));
  const [atCut, atFree] = await Promise.all(
    [cut, free].map(async (node, i) => new Publisher(await connect(node, overTcp), topic, `publisher-${i}`).start()),
  );
  await eventually("traffic both ways", () => heardOf(alice, atFree).length > 20 && heardOf(bob, atCut).length > 20);
  return { alice, bob, atCut, atFree };
}

/** What was sent elsewhere while the node was cut may be lost on it; from `since` on nothing may. */
async function checkHeard({ alice, bob, atCut, atFree }, since) {
  await Promise.all([atCut.stop(), atFree.stop()]);
  await Promise.all([alice, bob].flatMap((reader) => [heardLast(reader, atCut), heardLast(reader, atFree)]));
  for (const [reader, publisher] of [alice, bob].flatMap((one) => [atCut, atFree].map((other) => [one, other]))) {
    assertInOrder(heardOf(reader, publisher), publisher.name);
  }
  assert.deepEqual(missing(heardOf(alice, atCut), 0, atCut.next), [], "on the node that was cut");
  assert.deepEqual(missing(heardOf(bob, atFree), 0, atFree.next), [], "on the other node");
  assert.deepEqual(missing(heardOf(bob, atCut), 0, atCut.next), [], "sent on the node while it was cut");
  assert.deepEqual(missing(heardOf(alice, atFree), since, atFree.next), [], "sent elsewhere since it is back");
  assert.equal(alice.closed, null);
  [alice, bob, atCut.session, atFree.session].forEach((session) => session.drop());
}

describe("A node cut from Redis", () => {
  for (const [name, untilEnough] of [
    ["for longer than node-timeout", () => {}],
    ["until it gives the link up", () => eventually("a word about it", () => /Redis at .*answer/.test(cut.log))],
  ]) {
    test(`${name}: keeps its clients, is dead to the others, and is as before when it is back`, async () => {
      const scene = await makeTraffic();
      const { alice, atCut, atFree } = scene;
      namespace.cut();
      await eventually("alice to be gone", async () => (await onlineUsers(free)).alice === undefined);
      await untilEnough();
      const before = heardOf(alice, atCut).length;
      await eventually("local traffic to go on", () => heardOf(alice, atCut).length > before + 50);
      assert.equal((await onlineUsers(free)).bob, 1);

      namespace.mend();
      const sent = atFree.next;
      await eventually("alice to be back", async () => (await onlineUsers(free)).alice === 1);
      const since = await eventually("traffic", () => heardOf(alice, atFree).find((number) => number >= sent));
      await eventually("more of it", () => heardOf(alice, atFree).at(-1) > since + 50);
      await checkHeard(scene, since);
    });
  }
});
