// What one client can do to its node's share of Redis by subscribing and unsubscribing without end: it has to wait, the
// node stays small, and the link holds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { metric, useCluster } from "./lib/cluster.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { connect, freshTopic, overTcp } from "./lib/transports.mjs";

let a, b;
useCluster({ size: 2 }, ({ nodes }) => ([a, b] = nodes));

const CHURN_MS = 3000;
const CHANNELS_MAX = 70_000; // the high-water mark, in the least that an announcement counts for, twice

/** Sends pairs of SUBSCRIBE and UNSUBSCRIBE, each to a topic of its own, as fast as they are taken. */
async function churn(session, topic) {
  const end = Date.now() + CHURN_MS;
  let most = 0;
  for (let i = 0; Date.now() < end; ) {
    const frames = Array.from({ length: 500 }, () => [
      encodeFrame("SUBSCRIBE", { id: "churn", destination: `${topic}.${i++}` }, "", "1.2"),
      encodeFrame("UNSUBSCRIBE", { id: "churn" }, "", "1.2"),
    ]);
    if (!session.socket.write(Buffer.concat(frames.flat().map((frame) => Buffer.from(frame))))) {
      await sleep(20);
    }
    most = Math.max(most, await metric(a, "stompd_cluster_channels"));
  }
  return most;
}

test("subscribing and unsubscribing without end is held back, and costs the others nothing", async () => {
  const topic = freshTopic();
  const [reader, publisher] = [await connect(a, overTcp), await connect(b, overTcp)];
  await reader.subscribe(topic);
  const most = await churn(await connect(a, overTcp), topic);
  assert.ok(most < CHANNELS_MAX, `${most} channels`);
  await publisher.request("SEND", { destination: topic }, "still here");
  assert.equal((await reader.expect("MESSAGE")).text, "still here");
  assert.equal(await metric(a, "stompd_redis_connects_total"), 1);
  reader.drop();
  publisher.drop();
});
