// A node that is cut from Redis without a word, as by a pulled cable, while its clients are not: a network namespace with
// a cable to its clients and one to Redis.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { newNode, onlineUsers, untilReady } from "./lib/cluster.mjs";
import { eventually } from "./lib/eventually.mjs";
import { useNamespace } from "./lib/netns.mjs";
import { Redis } from "./lib/redis.mjs";
import { assertInOrder, heardLast, heardOf, missing, Publisher } from "./lib/traffic.mjs";
import { connect, freshTopic, overTcp, overWebSocket } from "./lib/transports.mjs";

const ALICE = { login: "alice", passcode: "wonderland" };
const BOB = { login: "bob", passcode: "builder" };

const namespace = useNamespace();
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
});

describe("A node cut from Redis", () => {
  test("keeps its clients and their traffic, is dead to the others, and is as before when it is back", async () => {
    const topic = freshTopic();
    const [alice, bob] = [await connect(cut, overWebSocket, ALICE), await connect(free, overWebSocket, BOB)];
    await Promise.all([alice, bob].map((session) => session.subscribe(topic)));
    const [atCut, atFree] = await Promise.all(
      [cut, free].map(async (node, i) => new Publisher(await connect(node, overTcp), topic, `publisher-${i}`).start()),
    );
    await eventually("traffic both ways", () => heardOf(alice, atFree).length > 20 && heardOf(bob, atCut).length > 20);

    namespace.cut();
    await eventually("alice to be gone", async () => (await onlineUsers(free)).alice === undefined);
    const before = heardOf(alice, atCut).length;
    await eventually("local traffic to go on", () => heardOf(alice, atCut).length > before + 50);
    assert.equal((await onlineUsers(free)).bob, 1);

    namespace.mend();
    await eventually("alice to be back", async () => (await onlineUsers(free)).alice === 1);
    const [fromCut, fromFree] = [atCut.next, atFree.next];
    await eventually("traffic both ways", () => {
      return heardOf(bob, atCut).at(-1) > fromCut + 20 && heardOf(alice, atFree).at(-1) > fromFree + 20;
    });
    await Promise.all([atCut.stop(), atFree.stop()]);
    await Promise.all([alice, bob].flatMap((reader) => [heardLast(reader, atCut), heardLast(reader, atFree)]));

    for (const [reader, publisher] of [alice, bob].flatMap((one) => [atCut, atFree].map((other) => [one, other]))) {
      assertInOrder(heardOf(reader, publisher), publisher.name);
    }
    assert.deepEqual(missing(heardOf(alice, atCut), 0, atCut.next), [], "on the node that was cut");
    assert.deepEqual(missing(heardOf(bob, atFree), 0, atFree.next), [], "on the other node");
    assert.deepEqual(missing(heardOf(bob, atCut), 0, atCut.next), [], "what was sent on the node while it was cut");
    assert.deepEqual(missing(heardOf(alice, atFree), fromFree, atFree.next), [], "sent elsewhere since it is back");
    assert.equal(alice.closed, null);
  });
});
