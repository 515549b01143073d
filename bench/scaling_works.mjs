// The works by which bench/scaling.mjs finds what each thing costs: each varies one or two of them, so that together
// they tell them apart. A work gives rows, one a thread: what happened there, and what the thread has used.
import { setTimeout as sleep } from "node:timers/promises";

import { farOf } from "./scaling_model.mjs";
import { bodyOf, Browser, closeAll, openAll, pace, sendFrame, untilReceived } from "./scaling_clients.mjs";

const SETTLE_MS = 150; // what follows a message, such as credit, is to be counted with it
const RELEASE_MS = 1300; // a channel is left a second after its last subscriber

const KIB = 1024;

const browsersOf = (count, optionsOf) => Array.from({ length: count }, (_, n) => new Browser(optionsOf(n)));

const total = (list, key) => list.reduce((sum, item) => sum + (item?.[key] ?? 0), 0);

/** What happened at a node and, as bodies of that many bytes, went through it. */
function countsOf(counts, bytes) {
  const { taken, echoes, sends, deliveries } = counts;
  const inKiB = (sends * bytes) / KIB;
  return { ...counts, inKiB, outKiB: (deliveries * bytes) / KIB, takenKiB: ((taken + echoes) * bytes) / KIB };
}

/** The rows of one observation: each node's workers and hub, and Redis. `done`: what the nodes do not count, by node. */
function rowsOf(name, { seconds, nodes, redis }, options) {
  const { bytes = 0, done = [], few = false, members = nodes.length, globs = 0 } = options;
  const common = { work: name, few, nodes: nodes.length };
  const rows = nodes.flatMap(({ hub, workers, counts }, n) => {
    const what = { ...countsOf(counts, bytes), ...done[n], seconds, members: redis ? seconds * members : 0 };
    what.farWrites = what.writes * farOf(counts.sessions);
    return [
      { ...common, thread: "worker", counts: what, ...workers },
      { ...common, thread: "hub", counts: what, ...hub },
    ];
  });
  if (redis) {
    const all = nodes.map(({ counts }) => counts);
    const [publish, deliver] = [total(all, "published"), total(all, "taken") + total(all, "echoes")];
    const counts = { publish, deliver, globs: publish * globs, seconds: seconds * nodes.length };
    counts.members = seconds * nodes.length * members;
    counts.inKiB = (publish * bytes) / KIB;
    counts.outKiB = (deliver * bytes) / KIB;
    counts.interest = total(done, "interest");
    counts.entries = total(done, "entries");
    counts.pushes = total(all.map(({ taken, echoes }) => ({ is: Math.min(taken + echoes, redis.main.wakes) })), "is");
    rows.push({ ...common, thread: "redis", counts, ...redis.main, info: redis.counts });
  }
  return rows;
}

/** The rows of what `act` does; it resolves with what it did itself and the nodes do not count: [{ beats: 10 }], by node. */
async function observe(cluster, name, options, act) {
  const before = await cluster.begin();
  const done = (await act()) ?? [];
  await sleep(SETTLE_MS);
  return rowsOf(name, await cluster.since(before), { ...options, done });
}

const TOPIC = "/topic/bench.traffic";

/**
 * Publishers on node 0 send to subscribers on the node `to`, `burst` messages at a time. `apart`: each subscriber has a
 * topic of its own, and gets what is sent there.
 */
async function traffic(cluster, name, options) {
  const { publishers = 40, subscribers = 0, to = 0, apart = false, rate, burst = 1, bytes = 128, seconds } = options;
  const topics = apart ? Array.from({ length: subscribers }, (_, n) => `${TOPIC}.${n}`) : [TOPIC];
  const sending = await openAll(browsersOf(publishers, () => ({ port: cluster.ports[0] })));
  const receiving = await openAll(
    browsersOf(subscribers, () => ({ port: cluster.ports[to] })),
    (_, n) => [topics[n % topics.length]],
  );
  const frames = topics.map((topic) => Buffer.concat(Array(burst).fill(sendFrame(topic, bodyOf(bytes)))));
  const rows = await observe(cluster, name, { ...options, bytes }, async () => {
    const sent = await pace(rate / burst, seconds, (n) => {
      sending[n % publishers].send(frames[Math.floor(Math.random() * topics.length)]);
    });
    await untilReceived(receiving, sent * burst * (subscribers / topics.length));
  });
  closeAll([...sending, ...receiving]);
  await sleep(cluster.isAlone ? SETTLE_MS : RELEASE_MS);
  return rows;
}

/** With further entries in the book of nodes, which are nobody's. */
async function idle(cluster, name, { seconds, members = 0, ...options }) {
  const key = "bench:nodes";
  const names = Array.from({ length: members }, (_, n) => `nobody-${n}`);
  if (members > 0) {
    await cluster.redis.command("HSET", key, ...names.flatMap((node) => [node, `${node}:0123456789ab 1`]));
  }
  const all = cluster.count + members;
  const rows = await observe(cluster, name, { ...options, members: all }, () => sleep(seconds * 1000));
  if (members > 0) {
    await cluster.redis.command("HDEL", key, ...names);
  }
  return rows;
}

async function beats(cluster, name, { browsers, beatMs, seconds, ...options }) {
  const all = await openAll(browsersOf(browsers, () => ({ port: cluster.ports[0], beatMs })));
  await sleep(beatMs);
  const rows = await observe(cluster, name, options, async () => {
    await sleep(seconds * 1000);
    return [{ beats: (browsers * seconds * 1000) / beatMs }];
  });
  closeAll(all);
  await sleep(SETTLE_MS);
  return rows;
}

/** They come and go one by one. With users, each of them is in the registry and hears what is private. */
async function connects(cluster, name, { rate, seconds, users = 0, ...options }) {
  return observe(cluster, name, options, async () => {
    const coming = [];
    const come = async (n) => {
      const browser = new Browser({ port: cluster.ports[0], user: users > 0 ? `user-${n % users}` : null });
      await browser.open();
      await browser.subscribe(...(users > 0 ? ["/user/queue/notes"] : []));
      browser.close();
    };
    const count = await pace(rate, seconds, (n) => coming.push(come(n)));
    await Promise.all(coming);
    await sleep(cluster.isAlone ? 0 : RELEASE_MS);
    const privately = users > 0 ? { entries: count, interest: count, subscribes: count } : {};
    return [{ ...privately, writes: 0 }]; // what answers them is part of their coming
  });
}

/** `each` SUBSCRIBEs of each browser and as many UNSUBSCRIBEs, by leaving: of topics of its own, or of one that is had. */
async function subscriptions(cluster, name, { browsers, each, areNew, ...options }) {
  const keeper = await openAll([new Browser({ port: cluster.ports[0] })], () => (areNew ? [] : ["/topic/bench.had"]));
  const all = await openAll(browsersOf(browsers, () => ({ port: cluster.ports[0] })));
  const rows = await observe(cluster, name, options, async () => {
    for (const [n, browser] of all.entries()) {
      const own = (i) => `/topic/bench.new.${n}.${i}`;
      const topics = Array.from({ length: each }, (_, i) => (areNew ? own(i) : "/topic/bench.had"));
      await browser.subscribe(...topics);
    }
    closeAll(all);
    await sleep(RELEASE_MS + SETTLE_MS);
    return [{ subscribes: browsers * each, interest: areNew && !cluster.isAlone ? browsers * each : 0 }];
  });
  closeAll(keeper);
  return rows;
}

/** Publications while somebody has as many patterns, which match none of them, as `globs` says. */
async function patterns(cluster, name, { globs, ...options }) {
  const connection = cluster.redis.connect();
  for (let n = 0; n < globs; n++) {
    await connection.command("PSUBSCRIBE", `bench:t:/topic/other-${n}[./]*[./]closed`);
  }
  const rows = await traffic(cluster, name, { ...options, globs });
  connection.close();
  return rows;
}

// [kind, name, options]. Where there are few messages each is alone on its way through all threads; `few` says so.

/** Of a node on its own. */
export const ALONE = [
  [idle, "idle", { seconds: 0.5, few: true }],
  [traffic, "SENDs to nobody, few", { rate: 400, seconds: 0.8, few: true }],
  [traffic, "SENDs to nobody", { rate: 4000, seconds: 0.8 }],
  [traffic, "SENDs to nobody, 50 at a time", { rate: 20000, burst: 50, seconds: 0.8 }],
  [traffic, "SENDs to nobody, 8 KiB", { rate: 2000, burst: 5, bytes: 8192, seconds: 0.6 }],
  [traffic, "1 to 100", { subscribers: 100, rate: 100, seconds: 1, few: true }],
  [traffic, "1 to 100, 50 at a time", { subscribers: 100, rate: 500, burst: 50, seconds: 1 }],
  [traffic, "1 to 100, 8 KiB", { subscribers: 100, rate: 60, bytes: 8192, seconds: 0.8 }],
  [traffic, "1 to 1000", { subscribers: 1000, rate: 15, seconds: 1 }],
  [traffic, "1 to 1000, 20 at a time", { subscribers: 1000, rate: 60, burst: 20, seconds: 1 }],
  [traffic, "1 to 1 of 1000", { subscribers: 1000, apart: true, rate: 500, seconds: 1, few: true }],
  [traffic, "1 to 4000", { subscribers: 4000, rate: 5, seconds: 1 }],
  [beats, "heart-beats", { browsers: 600, beatMs: 1000, seconds: 1, few: true }],
  [connects, "connects", { rate: 200, seconds: 1.5, few: true }],
  [subscriptions, "SUBSCRIBEs to one topic", { browsers: 40, each: 250, areNew: false }],
];

/** Of two nodes with a Redis. */
export const TOGETHER = [
  [idle, "idle", { seconds: 1, few: true }],
  [idle, "idle, a book of 300 nodes", { seconds: 1, members: 300, few: true }],
  [traffic, "SENDs to nobody, few", { rate: 400, seconds: 0.8, few: true }],
  [traffic, "SENDs to nobody", { rate: 2000, seconds: 0.8 }],
  [traffic, "SENDs to nobody, 50 at a time", { rate: 15000, burst: 50, seconds: 0.8 }],
  [patterns, "SENDs to nobody, 200 patterns", { globs: 200, rate: 2000, burst: 10, seconds: 0.8 }],
  [traffic, "1 to 1 on the other node, few", { subscribers: 1, to: 1, rate: 400, seconds: 0.8, few: true }],
  [traffic, "1 to 1 on the other node", { subscribers: 1, to: 1, rate: 2000, seconds: 0.8 }],
  [traffic, "1 to 1 on the other node, 50 at a time", { subscribers: 1, to: 1, rate: 15000, burst: 50, seconds: 0.8 }],
  [traffic, "1 to 1 on the other node, 8 KiB", { subscribers: 1, to: 1, rate: 2000, burst: 5, bytes: 8192, seconds: 0.8 }],
  [traffic, "1 to 1 on the same node, few", { subscribers: 1, rate: 400, seconds: 0.8, few: true }],
  [traffic, "1 to 1 on the same node, 50 at a time", { subscribers: 1, rate: 15000, burst: 50, seconds: 0.8 }],
  [traffic, "1 to 1 of 500 on the other node", { subscribers: 500, to: 1, apart: true, rate: 500, seconds: 1, few: true }],
  [subscriptions, "SUBSCRIBEs to new topics", { browsers: 40, each: 250, areNew: true }],
  [subscriptions, "SUBSCRIBEs to one topic", { browsers: 40, each: 250, areNew: false }],
  [connects, "users", { rate: 150, seconds: 1.5, users: 500, few: true }],
];

/** All rows of these works. */
export async function runAll(cluster, works) {
  const rows = [];
  for (const [kind, name, options] of works) {
    rows.push(...(await kind(cluster, name, options)));
  }
  return rows;
}
