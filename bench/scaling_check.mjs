// One workload on 1, 2 and 3 real nodes, and what the model says of it. The browsers, their places and every message are
// those of the simulation, so what it counts can be compared one by one, and what it predicts with the processor time.
import { setTimeout as sleep } from "node:timers/promises";

import { bodyOf, Browser, closeAll, openAll, sendFrame } from "./scaling_clients.mjs";
import { atRedis, farOf, redisUse, threadUse } from "./scaling_model.mjs";
import { place, randomOf, schedule, simulate, totalOf } from "./scaling_simulation.mjs";

/** A bit of everything: prices for all, rooms, private notes, people who come back. */
export const WORKLOAD = {
  browsers: 600,
  beatSeconds: 2,
  staySeconds: 60,
  topics: [{ share: 1, rate: 4, bytes: 128 }],
  rooms: { count: 150, zipf: 0.8, perBrowser: 2, rate: 0.25, bytes: 200 },
  notes: { rate: 0.25, bytes: 300 },
};

const COMPARED = ["sends", "deliveries", "taken", "echoes", "opened"];
const SETTLE_MS = 300;
const turn = () => new Promise(setImmediate);

/** What stomp-bench is to send a second, to 100 subscribers, and for how long. */
export const BESIDE = { rate: 100, subscribers: 100, seconds: 4, bytes: 128 };

/** The conf sections of the users that a placement has. */
export function usersConf(count) {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`user user-${n}`, { password: "plain:secret" }]));
}

function newBrowser(cluster, { user }, node, workload) {
  return new Browser({ port: cluster.ports[node], user, beatMs: workload.beatSeconds * 1000 });
}

/** As the browser itself names them: its own notes without its name. */
const subscribed = ({ user, destinations }) =>
  destinations.map((destination) => (destination === `/user/${user}/queue/notes` ? "/user/queue/notes" : destination));

async function comeBack(cluster, workload, placement, open, { returns, to }) {
  const who = placement.browsers[returns];
  open[returns].close();
  open[returns] = newBrowser(cluster, who, to, workload);
  await open[returns].open();
  await open[returns].subscribe(...subscribed(who));
}

/** Does what the schedule says, when it says so. */
async function play(cluster, workload, placement, events, { open, apart }) {
  const started = performance.now();
  const coming = new Map(); // a browser that is on its way back sends when it is there
  for (const event of events) {
    while (performance.now() - started < event.at * 1000) {
      await turn();
    }
    const frame = event.destination && sendFrame(event.destination, bodyOf(event.bytes));
    if (event.returns !== undefined) {
      const before = coming.get(event.returns) ?? Promise.resolve();
      coming.set(event.returns, before.then(() => comeBack(cluster, workload, placement, open, event)));
    } else if (event.from !== undefined) {
      await coming.get(event.from);
      open[event.from].send(frame);
    } else {
      apart[event.node].send(frame);
    }
  }
  await Promise.all(coming.values());
}

/** What was measured on the cluster's nodes, and what the simulation counts: { measured, counted }. */
export async function runCheck(cluster, workload, seconds, seed) {
  const random = randomOf(seed);
  const placement = place(workload, cluster.count, random);
  const events = schedule(workload, placement, seconds, random);
  const open = placement.browsers.map((who) => newBrowser(cluster, who, who.node, workload));
  await openAll(open, (_, n) => subscribed(placement.browsers[n]));
  const apart = await openAll(cluster.ports.map((port) => new Browser({ port })));
  await sleep(SETTLE_MS);
  const before = await cluster.begin();
  await play(cluster, workload, placement, events, { open, apart });
  await sleep(SETTLE_MS);
  const measured = await cluster.since(before);
  closeAll([...open, ...apart]);
  return { measured, counted: simulate(workload, placement, events, measured.seconds) };
}

/** The counts that a node has too, added up over all nodes: { sends: [said, counted], … }. */
function compareCounts(counted, nodes) {
  const said = totalOf(counted, 1);
  const total = (name) => nodes.reduce((sum, { counts }) => sum + counts[name], 0);
  return Object.fromEntries(COMPARED.map((name) => [name, [Math.round(said[name]), total(name)]]));
}

/**
 * What of a run is kept: { nodes, seconds, counted, counts, used }. `counted`: what the simulation says, by node; `used`:
 * milliseconds of CPU of all workers, all hubs, and Redis.
 */
export function keep({ counted, measured }) {
  const { seconds, nodes, redis } = measured;
  const used = (thread) => nodes.reduce((sum, node) => sum + node[thread].cpu, 0) / 1000;
  return {
    nodes: counted.length,
    seconds,
    counted: counted.map((node, n) => ({ ...node, sessions: nodes[n].counts.sessions })),
    counts: compareCounts(counted, nodes),
    used: { worker: used("workers"), hub: used("hub"), redis: redis.main.cpu / 1000 },
  };
}

/** Milliseconds of CPU that the model says of what the simulation has counted: { worker, hub, redis }. */
export function predictRun({ seconds, counted }, costs) {
  const nodes = counted.length;
  const said = { worker: 0, hub: 0 };
  for (const { sessions, ...node } of counted) {
    const rates = Object.fromEntries(Object.entries(node).map(([name, value]) => [name, value / seconds]));
    const writes = { writes: rates.deliveries, farWrites: rates.deliveries * farOf(sessions) };
    said.worker += (threadUse({ ...rates, ...writes, seconds: 1 }, costs.worker).cpu * seconds) / 1000;
    said.hub += (threadUse({ ...rates, seconds: 1, members: nodes }, costs.hub).cpu * seconds) / 1000;
  }
  const redis = redisUse(atRedis(totalOf(counted, seconds), nodes), costs.redis).cpu;
  return { ...said, redis: (redis * seconds) / 1000 };
}

/**
 * Microseconds of CPU that a message of BESIDE takes by the model, on two nodes and Redis together: with its subscribers
 * on the publisher's node, or on the other one.
 */
export function predictBeside(isOther, costs) {
  const { rate, subscribers, bytes } = BESIDE;
  const [sent, delivered] = [{ sends: rate, published: rate, inKiB: (rate * bytes) / 1024 }, rate * subscribers];
  const received = { deliveries: delivered, outKiB: (delivered * bytes) / 1024, writes: delivered };
  const here = isOther ? sent : { ...sent, ...received, echoes: rate };
  const there = isOther ? { ...received, taken: rate, takenKiB: sent.inKiB } : {};
  const node = (rates) =>
    threadUse({ ...rates, seconds: 1 }, costs.worker).cpu + threadUse({ ...rates, seconds: 1, members: 2 }, costs.hub).cpu;
  const sums = { ...here, taken: isOther ? rate : 0, echoes: isOther ? 0 : rate, takenKiB: sent.inKiB, interest: 0, entries: 0 };
  return (node(here) + node(there) + redisUse(atRedis(sums, 2), costs.redis).cpu) / rate;
}
