// From rows of what happened and what it took to what each thing costs: least squares of the relative errors, with no
// cost below zero.

// A row that took less than this counts for less: it is mostly noise.
const LITTLE = 1000;

/** What is to be small: how far off each row is, in parts of what it took. */
function weigh(rows, names) {
  return rows.map(({ counts, cpu }) => {
    const unit = cpu + LITTLE;
    return { x: names.map((name) => (counts[name] ?? 0) / unit), y: cpu / unit };
  });
}

const dot = (a, b) => a.reduce((sum, value, n) => sum + value * b[n], 0);

/** { name: cost } of the names, from [{ counts: { name: number }, cpu }]. A cost that nothing tells apart is 0. */
export function fit(rows, names, rounds = 20_000) {
  const weighed = weigh(rows, names);
  const scale = names.map((_, n) => Math.sqrt(weighed.reduce((sum, { x }) => sum + x[n] * x[n], 0)) || 1);
  const costs = names.map(() => 0);
  const rest = weighed.map(({ y }) => y);
  for (let round = 0; round < rounds; round++) {
    let moved = 0;
    names.forEach((_, n) => {
      const column = weighed.map(({ x }) => x[n] / scale[n]);
      const step = Math.max(dot(column, rest), -costs[n]);
      costs[n] += step;
      moved = Math.max(moved, Math.abs(step));
      column.forEach((value, i) => (rest[i] -= step * value));
    });
    if (moved < 1e-9) {
      break;
    }
  }
  return Object.fromEntries(names.map((name, n) => [name, costs[n] / scale[n]]));
}

export function predict(counts, costs) {
  return Object.entries(costs).reduce((sum, [name, cost]) => sum + cost * (counts[name] ?? 0), 0);
}

export const THREADS = ["worker", "hub", "redis"];

/** What is known of each thread: things that take time there. */
export const THINGS = {
  worker: [
    ...["seconds", "sends", "inKiB", "published", "taken", "deliveries", "outKiB", "writes", "farWrites"],
    ...["opened", "entries", "subscribes", "interest", "beats"],
  ],
  hub: ["seconds", "members", "published", "taken", "echoes", "inKiB", "takenKiB", "opened", "interest", "entries"],
  redis: ["seconds", "members", "publish", "globs", "deliver", "pushes", "inKiB", "outKiB", "interest", "entries"],
};

/** Of these each alone is worth a wake-up, of which it may be more than one. */
const EVENTS = {
  worker: ["seconds", "sends", "published", "taken", "opened", "entries", "beats"],
  hub: ["seconds", "published", "taken", "echoes", "opened", "entries"],
  redis: ["seconds", "publish", "entries"],
};

/** { each: { thing: µs }, events: { thing: wake-ups where it is alone }, wake: µs } of a thread. */
export function costsOf(rows, thread) {
  const mine = rows.filter((row) => row.thread === thread);
  const asCounts = mine.map(({ counts, cpu, wakes }) => ({ counts: { ...counts, wakes }, cpu }));
  const { wakes: wake, ...each } = fit(asCounts, [...THINGS[thread], "wakes"]);
  const alone = mine.filter(({ few }) => few).map(({ counts, wakes }) => ({ counts, cpu: wakes }));
  return { each, events: fit(alone, EVENTS[thread]), wake };
}
