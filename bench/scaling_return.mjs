// What happens to a node with much interest when Redis goes and comes back empty, and to Redis when such a node dies.
import { setTimeout as sleep } from "node:timers/promises";

import { Browser, closeAll, openAll } from "./scaling_clients.mjs";

const BROWSERS = 40;
const AT_A_TIME = 2500;
const SETTLE_MS = 300;
const WATCHED_MS = 2500;

async function takeInterest(cluster, channels) {
  const browsers = await openAll(Array.from({ length: BROWSERS }, () => new Browser({ port: cluster.ports[0] })));
  for (const [n, browser] of browsers.entries()) {
    for (let first = 0; first < channels / BROWSERS; first += AT_A_TIME) {
      await browser.subscribe(...Array.from({ length: AT_A_TIME }, (_, i) => `/topic/bench.back.${n}.${first + i}`));
    }
  }
  return browsers;
}

/** The longest that Redis took for an answer, in milliseconds, while that was done and for a while after it. */
async function standstill(redis, act) {
  let [longest, isOver] = [0, false];
  const watching = (async () => {
    while (!isOver) {
      const asked = performance.now();
      await redis.command("PING");
      longest = Math.max(longest, performance.now() - asked);
      await sleep(1);
    }
  })();
  await sleep(SETTLE_MS);
  await act();
  await sleep(WATCHED_MS);
  isOver = true;
  await watching;
  return longest;
}

/** Of a cluster of one node: { channels, restoredMs, redisMs, standstillMs }; the node is dead then. */
export async function measureReturn(cluster, channels) {
  const [node] = cluster.nodes;
  const browsers = await takeInterest(cluster, channels);
  await cluster.redis.stop();
  await sleep(SETTLE_MS);
  await cluster.redis.start();
  await cluster.untilLinked(node);
  const linked = performance.now();
  await cluster.untilReady(node);
  const restoredMs = performance.now() - linked;
  const redisMs = cluster.redisCpu() / 1000;
  closeAll(browsers);
  const standstillMs = await standstill(cluster.redis, () => node.crash());
  return { channels, restoredMs, redisMs, standstillMs };
}
