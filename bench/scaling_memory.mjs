// What sessions, subscriptions, interest and users take of memory: at the node, in its kernel, and in Redis.
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { Browser, closeAll, openAll } from "./scaling_clients.mjs";

const SESSIONS = 4000;
const EACH = 10; // new topics a session
const SETTLE_MS = 500;

/** What the kernel has for its own. Both ends of each connection are on this machine. */
function kernelBytes() {
  const [, kib] = /^Slab:\s+(\d+) kB$/m.exec(fs.readFileSync("/proc/meminfo", "utf8"));
  return Number(kib) * 1024;
}

async function grown(cluster, act) {
  const before = await cluster.begin();
  const kernelBefore = kernelBytes();
  await act();
  await sleep(SETTLE_MS);
  const { nodes, redis } = await cluster.since(before);
  return { node: nodes[0].bytes, kernel: kernelBytes() - kernelBefore, redis: redis.counts.usedBytes };
}

/** Bytes of each: { session, kernelSocket, subscription, interest, redisChannel, redisUser }. */
export async function measureMemory(cluster, users) {
  const [port] = cluster.ports;
  const warm = await openAll([new Browser({ port })], () => ["/topic/bench.all"]);
  const browsers = Array.from({ length: SESSIONS }, () => new Browser({ port }));
  const opened = await grown(cluster, () => openAll(browsers));
  const subscribed = await grown(cluster, () => subscribeAll(browsers, () => ["/topic/bench.all"]));
  const topicsOf = (n) => Array.from({ length: EACH }, (_, i) => `/topic/bench.of-one.${n}.${i}`);
  const interested = await grown(cluster, () => subscribeAll(browsers, topicsOf));
  const named = Array.from({ length: users }, (_, n) => new Browser({ port, user: `user-${n}` }));
  const entered = await grown(cluster, () => openAll(named));
  closeAll([...warm, ...browsers, ...named]);
  const subscription = subscribed.node / SESSIONS;
  return {
    session: opened.node / SESSIONS,
    kernelSocket: opened.kernel / SESSIONS / 2,
    subscription,
    interest: interested.node / SESSIONS / EACH - subscription,
    redisChannel: interested.redis / SESSIONS / EACH,
    redisUser: entered.redis / users,
  };
}

async function subscribeAll(browsers, destinationsOf) {
  for (const [n, browser] of browsers.entries()) {
    await browser.subscribe(...destinationsOf(n));
  }
}
