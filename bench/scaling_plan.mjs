// On paper: how many nodes and how much of a Redis a workload needs, limit by limit, and how far one Redis goes.
import { predictUse, ratesOf, standingOf } from "./scaling_model.mjs";

/** What a node runs on, and how much of it may be used: there is to be room for bursts, and for what the model is off by. */
export const MACHINE = {
  workers: 15, // of 16 processors: the hub has one
  browsers: 500_000, // a choice: whoever loses a node loses that many at once
  bytes: 64 * 2 ** 30,
  bitsPerSecond: 10e9,
  load: 0.6,
  stormLoad: 0.9, // while the people of a lost node come back
  stormSeconds: 60,
};

const COMMON = { staySeconds: 20 * 60, beatSeconds: 10 };

/** For ten million browsers; another number of browsers keeps what each of them does. */
export const WORKLOADS = {
  broadcast: { ...COMMON, browsers: 10e6, topics: [{ share: 1, rate: 0.1, bytes: 200 }] },
  chat: {
    ...COMMON,
    browsers: 10e6,
    rooms: { count: 1000, each: 20, zipf: 0.8, perBrowser: 2, most: 500, rate: 1 / 120, bytes: 200 },
  },
  notes: { ...COMMON, browsers: 10e6, notes: { rate: 1 / 60, bytes: 500 } },
};

/** The same with so many browsers; rooms stay as large as they are, so there are more or fewer of each size. */
export function withBrowsers(workload, browsers) {
  const { rooms } = workload;
  const repeat = rooms && (browsers * rooms.perBrowser) / (rooms.each * rooms.count);
  return { ...workload, browsers, ...(rooms ? { rooms: { ...rooms, repeat } } : {}) };
}

/** Bytes beside bodies: of a MESSAGE to a browser, and of a publication to and from Redis. */
const FRAME_BYTES = 115;
const PAYLOAD_BYTES = 250;
const TCP_BYTES = 66; // of a packet's heads

const KIB = 1024;

/** Bits a second that leave a node for browsers and Redis. */
function nodeBits(rates, nodes) {
  const toBrowsers = rates.outKiB * KIB + (rates.deliveries + rates.beats) * (FRAME_BYTES + TCP_BYTES);
  const toRedis = rates.inKiB * KIB + rates.published * PAYLOAD_BYTES;
  return (8 * (toBrowsers + toRedis)) / nodes;
}

export function redisBits(rates) {
  return 8 * (rates.takenKiB * KIB + (rates.taken + rates.echoes) * PAYLOAD_BYTES);
}

function nodeBytes(workload, nodes, memory) {
  const { subscriptions, interest } = standingOf(workload, nodes);
  const sessions = workload.browsers * (memory.session + memory.kernelSocket);
  return (sessions + subscriptions * memory.subscription + interest * memory.interest) / nodes;
}

/** A channel is in Redis once for each node that listens, beside the channel itself; and so is who is online. */
function redisBytes(workload, nodes, memory) {
  const users = workload.notes ? workload.browsers : 0;
  return standingOf(workload, nodes).interest * memory.redisChannel + users * memory.redisUser;
}

/** What one of that many nodes, and Redis, have to do: parts of what they could. */
export function planOf(workload, nodes, { costs, memory }, machine = MACHINE) {
  const rates = ratesOf(workload, nodes, machine.workers);
  const use = predictUse(rates, nodes, machine.workers, costs);
  return {
    rates,
    memory: nodeBytes(workload, nodes, memory) / machine.bytes,
    worker: use.worker.cpu / 1e6,
    hub: use.hub.cpu / 1e6,
    network: nodeBits(rates, nodes) / machine.bitsPerSecond,
    redis: use.redis.cpu / 1e6,
    redisBits: redisBits(rates),
    redisBytes: redisBytes(workload, nodes, memory),
  };
}

/** How busy the others are while those of a lost node come back to them, on top of what they do: the busiest thread. */
export function stormOf(workload, nodes, { costs }, machine = MACHINE) {
  if (nodes < 2) {
    return Infinity;
  }
  const left = nodes - 1;
  const rates = ratesOf(workload, left, machine.workers);
  const back = workload.browsers / nodes / machine.stormSeconds;
  const factor = 1 + back / rates.opened;
  for (const name of ["opened", "subscribes", "interest", "entries"]) {
    rates[name] *= factor;
  }
  const use = predictUse(rates, left, machine.workers, costs);
  return Math.max(use.worker.cpu, use.hub.cpu) / 1e6;
}

const MOST_NODES = 4096; // what a node remembers of others

/** The fewest nodes for which `isEnough(nodes)`; Infinity: no number is. */
function fewest(isEnough) {
  let [low, high] = [0, 1];
  while (!isEnough(high)) {
    [low, high] = [high, high * 2];
    if (high > MOST_NODES) {
      return Infinity;
    }
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    [low, high] = isEnough(middle) ? [low, middle] : [middle, high];
  }
  return high;
}

/** How many nodes each limit asks for: { memory, worker, hub, network, storm, browsers, all }. */
export function nodesFor(workload, measured, machine = MACHINE) {
  const within = (name) => fewest((nodes) => planOf(workload, nodes, measured, machine)[name] <= machine.load);
  const needed = Object.fromEntries(["memory", "worker", "hub", "network"].map((name) => [name, within(name)]));
  needed.browsers = Math.ceil(workload.browsers / machine.browsers);
  needed.storm = fewest((nodes) => stormOf(workload, nodes, measured, machine) <= machine.stormLoad);
  return { ...needed, all: Math.max(...Object.values(needed)) };
}

/** The most browsers of a workload for which one Redis is enough, on as many nodes as they need: { browsers, nodes }. */
export function mostOnOneRedis(workload, measured, machine = MACHINE) {
  const attempt = (browsers) => {
    const all = withBrowsers(workload, browsers);
    const nodes = nodesFor(all, measured, machine).all;
    return { browsers, nodes, redis: nodes === Infinity ? Infinity : planOf(all, nodes, measured, machine).redis };
  };
  let [low, high] = [attempt(1000), attempt(64e6)];
  if (high.redis <= machine.load) {
    return high;
  }
  for (let round = 0; round < 14; round++) {
    const middle = attempt(Math.round(Math.sqrt(low.browsers * high.browsers)));
    [low, high] = middle.redis <= machine.load ? [middle, high] : [low, middle];
  }
  return low;
}
