// A workload on N nodes, message by message: browsers are placed at random, send, come back on other nodes, and what
// happens at each node and at Redis is counted. The same placing and the same moments can be played to real nodes
// (scaling_check.mjs). Seeded, so that a run can be repeated.
import { roomSizes } from "./scaling_model.mjs";

/** Numbers from 0 to 1; the same seed gives the same ones. */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

const below = (random, count) => Math.floor(random() * count);

/** As many different browsers as the room has members. */
function membersOf(size, browsers, random) {
  const members = new Set();
  while (members.size < size) {
    members.add(below(random, browsers));
  }
  return [...members];
}

/**
 * Who is where and subscribes to what: { nodes, browsers: [{ node, user, destinations }], subscribers: destination →
 * [browser] }.
 */
export function place(workload, nodes, random) {
  const { browsers: count, topics = [], rooms, notes } = workload;
  const browsers = Array.from({ length: count }, (_, n) => ({
    node: below(random, nodes),
    user: notes ? `user-${n}` : null,
    destinations: [],
  }));
  const subscribers = new Map();
  const subscribe = (destination, members) => {
    subscribers.set(destination, members);
    members.forEach((n) => browsers[n].destinations.push(destination));
  };
  const everyone = browsers.map((_, n) => n);
  topics.forEach(({ share }, n) => subscribe(`/topic/price.${n}`, everyone.slice(0, Math.round(count * share))));
  const sizes = rooms ? roomSizes(rooms, count) : [];
  sizes.forEach((size, n) => subscribe(`/topic/room.${n}`, membersOf(size, count, random)));
  if (notes) {
    everyone.forEach((n) => subscribe(`/user/${browsers[n].user}/queue/notes`, [n]));
  }
  return { nodes, browsers, subscribers };
}

/** Moments of something that happens `rate` times a second, at random. */
function momentsOf(rate, seconds, random, make) {
  const moments = [];
  const gap = () => -Math.log(1 - random()) / rate;
  for (let at = gap(); rate > 0 && at < seconds; at += gap()) {
    moments.push({ at, ...make() });
  }
  return moments;
}

/**
 * What happens in that time, in its order: { at, destination, bytes, node or from } is a message, of someone at that node
 * or of that browser, and { at, returns, to } a browser that leaves and comes back on that node.
 */
export function schedule(workload, placement, seconds, random) {
  const { browsers, topics = [], rooms, notes, staySeconds } = workload;
  const { nodes } = placement;
  const anywhere = (destination, bytes) => ({ destination, bytes, node: below(random, nodes) });
  const events = topics.flatMap(({ rate, bytes }, n) =>
    momentsOf(rate, seconds, random, () => anywhere(`/topic/price.${n}`, bytes)),
  );
  if (rooms) {
    const seats = [...placement.subscribers]
      .filter(([destination]) => destination.startsWith("/topic/room."))
      .flatMap(([destination, members]) => members.map((from) => ({ from, destination, bytes: rooms.bytes })));
    const rate = (seats.length * rooms.rate) / rooms.perBrowser;
    events.push(...momentsOf(rate, seconds, random, () => seats[below(random, seats.length)]));
  }
  if (notes) {
    const private_ = () => anywhere(`/user/user-${below(random, browsers)}/queue/notes`, notes.bytes);
    events.push(...momentsOf(browsers * notes.rate, seconds, random, private_));
  }
  const returning = () => ({ returns: below(random, browsers), to: below(random, nodes) });
  events.push(...momentsOf(browsers / staySeconds, seconds, random, returning));
  return events.sort((a, b) => a.at - b.at);
}

const NOTHING = { sends: 0, inKiB: 0, deliveries: 0, outKiB: 0, published: 0, taken: 0, echoes: 0, takenKiB: 0 };
const COMING = { opened: 0, subscribes: 0, interest: 0, entries: 0, beats: 0 };

const KIB = 1024;

/** Subscribers of each destination by node: destination → [count]. */
function countSubscribers({ nodes, browsers, subscribers }) {
  const counts = new Map();
  for (const [destination, members] of subscribers) {
    const at = Array(nodes).fill(0);
    members.forEach((n) => at[browsers[n].node]++);
    counts.set(destination, at);
  }
  return counts;
}

function countMessage(counted, at, { destination, bytes, origin }) {
  const here = counted[origin];
  here.sends++;
  here.published++;
  here.inKiB += bytes / KIB;
  at.get(destination).forEach((subscribers, n) => {
    counted[n].deliveries += subscribers;
    counted[n].outKiB += (subscribers * bytes) / KIB;
    if (subscribers > 0) {
      counted[n][n === origin ? "echoes" : "taken"]++;
      counted[n].takenKiB += bytes / KIB;
    }
  });
}

function countReturn(counted, at, { browser, from, to }) {
  const here = counted[to];
  here.opened++;
  here.entries += browser.user === null ? 0 : 1;
  for (const destination of browser.destinations) {
    const subscribers = at.get(destination);
    subscribers[from]--;
    here.interest += subscribers[to] === 0 ? 1 : 0;
    subscribers[to]++;
    here.subscribes++;
  }
}

/** Plays the schedule; what happened at each node: [{ sends, deliveries, … }]. */
export function simulate(workload, placement, events, seconds) {
  const counted = Array.from({ length: placement.nodes }, () => ({ ...NOTHING, ...COMING }));
  const at = countSubscribers(placement);
  const where = placement.browsers.map(({ node }) => node);
  for (const event of events) {
    if (event.returns !== undefined) {
      const browser = placement.browsers[event.returns];
      countReturn(counted, at, { browser, from: where[event.returns], to: event.to });
      where[event.returns] = event.to;
    } else {
      countMessage(counted, at, { ...event, origin: event.node ?? where[event.from] });
    }
  }
  if (workload.beatSeconds > 0) {
    placement.browsers.forEach(({ node }) => (counted[node].beats += seconds / workload.beatSeconds));
  }
  return counted;
}

/** Of all nodes together, a second. */
export function totalOf(counted, seconds) {
  const names = Object.keys(counted[0]);
  return Object.fromEntries(names.map((name) => [name, counted.reduce((sum, node) => sum + node[name], 0) / seconds]));
}

