// What a node and a Redis carry, as arithmetic: from a workload to what happens a second at each thread, and from that,
// with measured costs, to processor time, memory and bytes. docs/scaling.md has the formulas. No I/O here.

/** With s subscribers placed at random on n places: how many places have one at least, on average. */
export function occupied(n, s) {
  return n * (1 - (1 - 1 / n) ** s);
}

/** A write costs more the more sockets there are, since less of it is in the processor's caches: each tenfold by as much. */
export function farOf(sessions) {
  return Math.log10(Math.max(100, sessions) / 100);
}

/**
 * How often a second a thread is woken that has `events` a second, each alone worth a wake-up, `work` microseconds a
 * second to do for them, and `wake` microseconds to pay for a wake-up: what comes while it is awake needs none of its own.
 *
 *   m = events · d + exp(−events · d)      events a wake-up, where they come at random
 *   d = wake + m · work / events           how long it is awake
 */
export function wakeUps(events, work, wake) {
  if (events === 0) {
    return 0;
  }
  const each = work / events / 1e6;
  const rate = (m) => {
    const expected = events * (wake / 1e6 + m * each);
    return expected + Math.exp(-expected);
  };
  let m = 1;
  for (let round = 0; round < 200; round++) {
    m = Math.min(rate(m), events);
  }
  return events / m;
}

const times = (counts, costs) => Object.entries(costs).reduce((sum, [name, cost]) => sum + cost * (counts[name] ?? 0), 0);

/**
 * What one thread uses, of what happens there in a second: { work, events, wakes, cpu } with microseconds a second.
 * `costs`: { each: { name: µs }, events: { name: wake-ups when it is alone }, wake: µs }.
 */
export function threadUse(counts, costs) {
  const work = times(counts, costs.each);
  const events = times(counts, costs.events);
  const wakes = wakeUps(events, work, costs.wake);
  return { work, events, wakes, cpu: work + wakes * costs.wake };
}

/**
 * Sockets to nodes that Redis writes to in a second. A turn of it has the publications of several, of which each goes to
 * a node with the probability `share`.
 */
export function pushes(publish, wakes, nodes, share) {
  return publish === 0 || wakes === 0 ? 0 : wakes * nodes * (1 - (1 - share) ** Math.max(1, publish / wakes));
}

/** What Redis uses; its writes depend on how often it is woken, and that on them. */
export function redisUse(counts, costs) {
  const share = counts.publish > 0 ? Math.min(1, counts.deliver / counts.publish / counts.nodes) : 0;
  let use = threadUse({ ...counts, pushes: counts.deliver }, costs);
  for (let round = 0; round < 50; round++) {
    use = threadUse({ ...counts, pushes: pushes(counts.publish, use.wakes, counts.nodes, share) }, costs);
  }
  return use;
}

// ---- from a workload to what happens in a second

/** The sizes of rooms, biggest first, where the nth is as popular as 1/n^zipf, up to `most`; nobody talks alone: [size]. */
export function roomSizes({ count, zipf, perBrowser, most = Infinity }, browsers) {
  const weights = Array.from({ length: count }, (_, n) => 1 / (n + 1) ** zipf);
  const all = weights.reduce((sum, weight) => sum + weight);
  const largest = Math.min(browsers, most);
  return weights.map((weight) => Math.min(largest, Math.max(2, Math.round((weight / all) * browsers * perBrowser))));
}

/** `repeat`: how many rooms there are of each size. */
function roomsOf({ rooms, browsers }) {
  const { rate, bytes, perBrowser, repeat = 1 } = rooms;
  const counts = new Map();
  for (const size of roomSizes(rooms, browsers / repeat)) {
    counts.set(size, (counts.get(size) ?? 0) + repeat);
  }
  return [...counts].map(([size, count]) => {
    return { count, subscribers: size, rate: (size * rate) / perBrowser, bytes, isMembers: true };
  });
}

/**
 * Groups of destinations that are alike: { count, subscribers, rate, bytes, isMembers }, `rate` the messages a second to
 * each. `isMembers`: its subscribers send them; else anyone on any node does.
 */
export function destinationsOf(workload) {
  const { browsers, topics = [], rooms, notes } = workload;
  return [
    ...topics.map(({ share, rate, bytes }) => ({ count: 1, subscribers: browsers * share, rate, bytes })),
    ...(rooms ? roomsOf(workload) : []),
    ...(notes ? [{ count: browsers, subscribers: 1, rate: notes.rate, bytes: notes.bytes }] : []),
  ];
}

/** Of a message to `s` subscribers on n places: how many places other than its origin's get it, and whether that does. */
export function spread(n, s, isMembers) {
  const others = occupied(n, isMembers ? s - 1 : s);
  const own = isMembers ? 1 : others / n;
  return { others: (others * (n - 1)) / n, own };
}

const KIB = 1024;

/**
 * What happens in a second on all nodes together, each with so many workers: the sums that simulate() counts one by one,
 * on average, and `mailed`, how often a worker gets a message by mail. KiB are those of bodies.
 */
export function ratesOf(workload, nodes, workers = 1) {
  const all = { sends: 0, inKiB: 0, deliveries: 0, outKiB: 0, taken: 0, echoes: 0, takenKiB: 0, mailed: 0 };
  for (const { count, subscribers, rate, bytes, isMembers } of destinationsOf(workload)) {
    const messages = count * rate;
    const { others, own } = spread(nodes, subscribers, isMembers);
    all.sends += messages;
    all.inKiB += (messages * bytes) / KIB;
    all.deliveries += messages * subscribers;
    all.outKiB += (messages * subscribers * bytes) / KIB;
    all.taken += messages * others;
    all.echoes += messages * own;
    all.takenKiB += (messages * (others + own) * bytes) / KIB;
    all.mailed += messages * spread(nodes * workers, subscribers, isMembers).others;
  }
  return { ...all, published: all.sends, sessions: workload.browsers, ...comingOf(workload, nodes) };
}

/** Who comes back takes up all of its subscriptions; of a channel there is none yet where nobody else has it. */
function comingOf(workload, nodes) {
  const { browsers, staySeconds, beatSeconds = 0, notes } = workload;
  const opened = browsers / staySeconds;
  const none = (subscribers) => (1 - 1 / nodes) ** Math.max(0, subscribers - 1);
  let [subscribes, interest] = [0, 0];
  for (const { count, subscribers } of destinationsOf(workload)) {
    subscribes += (count * subscribers) / staySeconds;
    interest += ((count * subscribers) / staySeconds) * none(subscribers);
  }
  const beats = beatSeconds > 0 ? browsers / beatSeconds : 0;
  return { opened, subscribes, interest, entries: notes ? opened : 0, beats };
}

/** What is there at a time: { subscriptions, interest, destinations }, `interest` added up over the nodes. */
export function standingOf(workload, nodes) {
  const standing = { subscriptions: 0, interest: 0, destinations: 0 };
  for (const { count, subscribers } of destinationsOf(workload)) {
    standing.subscriptions += count * subscribers;
    standing.interest += count * occupied(nodes, subscribers);
    standing.destinations += count * Math.min(1, subscribers);
  }
  return standing;
}

const divided = (rates, by) => Object.fromEntries(Object.entries(rates).map(([name, value]) => [name, value / by]));

/** Of one worker, one hub, and Redis, where all nodes do the same: each as threadUse() has it. */
export function predictUse(rates, nodes, workers, costs) {
  const mailed = workers > 1 ? rates.mailed : rates.taken;
  const writes = { writes: rates.deliveries, farWrites: rates.deliveries * farOf(rates.sessions / nodes / workers) };
  const atWorker = divided({ ...rates, ...writes, taken: mailed }, nodes * workers);
  return {
    worker: threadUse({ ...atWorker, seconds: 1 }, costs.worker),
    hub: threadUse({ ...divided(rates, nodes), seconds: 1, members: nodes }, costs.hub),
    redis: redisUse(atRedis(rates, nodes), costs.redis),
  };
}

export function atRedis(rates, nodes) {
  return {
    publish: rates.published,
    deliver: rates.taken + rates.echoes,
    inKiB: rates.inKiB,
    outKiB: rates.takenKiB,
    interest: rates.interest,
    entries: rates.entries,
    nodes,
    seconds: nodes,
    members: nodes * nodes,
  };
}
