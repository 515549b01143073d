// The arithmetic of docs/scaling.md (bench/scaling_*.mjs), with costs and workloads made up here: no measuring. And that
// the page's tables are those of what was measured last.
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import { describe, test } from "node:test";

import { fit, predict } from "../../bench/scaling_fit.mjs";
import { destinationsOf, occupied, pushes, ratesOf, roomSizes } from "../../bench/scaling_model.mjs";
import { spread, standingOf, threadUse, wakeUps } from "../../bench/scaling_model.mjs";
import { MACHINE, mostOnOneRedis, nodesFor, planOf, stormOf, withBrowsers } from "../../bench/scaling_plan.mjs";
import { place, randomOf, schedule, simulate, totalOf } from "../../bench/scaling_simulation.mjs";
import { fillPage, tablesOf } from "../../bench/scaling_tables.mjs";

/** Nearer than that part of it. */
function assertNear(actual, expected, part, what = "") {
  assert.ok(Math.abs(actual - expected) <= Math.abs(expected) * part, `${what} ${actual} is not near ${expected}`);
}

describe("the formulas", () => {
  test("subscribers at random: how many nodes have one", () => {
    assert.equal(occupied(1, 5), 1);
    assert.equal(occupied(3, 0), 0);
    assertNear(occupied(2, 2), 1.5, 1e-12);
    assertNear(occupied(1000, 1), 1, 1e-9);
    assertNear(occupied(3, 1000), 3, 1e-9);
  });

  test("who else gets it: of a member's message the others, of anyone's all, but for its own node", () => {
    assert.deepEqual(spread(2, 1, true), { others: 0, own: 1 });
    assert.deepEqual(spread(2, 1, false), { others: 0.5, own: 0.5 });
    const { others, own } = spread(4, 2, true);
    assertNear(others, 0.75, 1e-12); // the other member is on one of three out of four
    assert.equal(own, 1);
  });

  test("wake-ups: one for each event where there are few, one for many where there is no rest", () => {
    assert.equal(wakeUps(0, 0, 10), 0);
    assertNear(wakeUps(10, 10, 10), 10, 1e-3);
    const busy = { events: 400_000, work: 900_000, wake: 10 }; // 90 % busy without waking up
    const wakes = wakeUps(busy.events, busy.work, busy.wake);
    assertNear(busy.work + wakes * busy.wake, 1e6, 0.02, "all of a second is used");
  });

  test("a thread: work for each thing, and wake-ups for those that wake it", () => {
    const costs = { each: { sends: 2, inKiB: 1 }, events: { sends: 1 }, wake: 10 };
    const use = threadUse({ sends: 100, inKiB: 50 }, costs);
    assert.equal(use.work, 250);
    assertNear(use.cpu, 250 + 100 * 10, 0.01);
  });

  test("writes to nodes: one for each copy where messages are alone, one for each node where they are many", () => {
    assertNear(pushes(10, 10, 4, 0.5), 20, 1e-9);
    assertNear(pushes(100_000, 10, 4, 0.5), 40, 1e-9);
    assert.equal(pushes(0, 0, 4, 0), 0);
  });

  test("rooms: together as many seats as are taken, and never more people than allowed", () => {
    const sizes = roomSizes({ count: 100, zipf: 0.8, perBrowser: 2 }, 5000);
    assertNear(sizes.reduce((sum, size) => sum + size), 10_000, 0.01);
    assert.ok(sizes[0] > 10 * sizes[99] && sizes[99] >= 2);
    assert.equal(Math.max(...roomSizes({ count: 100, zipf: 0.8, perBrowser: 2, most: 50 }, 5000)), 50);
  });
});

describe("costs from what was measured", () => {
  const costs = { sends: 3, writes: 0.5, idle: 0, seconds: 200 };
  const rows = [
    { sends: 1000, writes: 0, idle: 1, seconds: 1 },
    { sends: 10, writes: 50_000, idle: 3, seconds: 2 },
    { sends: 400, writes: 4000, idle: 2, seconds: 1 },
    { sends: 0, writes: 0, idle: 9, seconds: 5 },
  ].map((counts) => ({ counts, cpu: predict(counts, costs) }));

  test("are found again", () => {
    const found = fit(rows, Object.keys(costs));
    for (const [name, cost] of Object.entries(costs)) {
      assert.ok(Math.abs(found[name] - cost) < 0.05 * Math.max(cost, 1), name);
    }
  });

  test("are never below nothing", () => {
    const odd = rows.map(({ counts, cpu }) => ({ counts, cpu: cpu - counts.idle * 20 }));
    assert.equal(fit(odd, Object.keys(costs)).idle, 0);
  });
});

const WORKLOAD = {
  browsers: 3000,
  staySeconds: 100,
  beatSeconds: 10,
  topics: [{ share: 0.5, rate: 2, bytes: 100 }],
  rooms: { count: 400, zipf: 0.8, perBrowser: 2, rate: 0.1, bytes: 200 },
  notes: { rate: 0.1, bytes: 300 },
};

describe("the simulation", () => {
  const SECONDS = 20;
  const run = (nodes, seed) => {
    const random = randomOf(seed);
    const placement = place(WORKLOAD, nodes, random);
    return simulate(WORKLOAD, placement, schedule(WORKLOAD, placement, SECONDS, random), SECONDS);
  };

  for (const nodes of [1, 3, 20]) {
    test(`counts on ${nodes} nodes what the formulas say`, () => {
      const counted = totalOf(run(nodes, 1), SECONDS);
      const said = ratesOf(WORKLOAD, nodes);
      for (const name of Object.keys(counted)) {
        assertNear(counted[name], said[name], 0.07, name);
      }
    });
  }

  test("is the same with the same seed, and another with another", () => {
    assert.deepEqual(run(3, 5), run(3, 5));
    assert.notDeepEqual(run(3, 5), run(3, 6));
  });

  test("a message costs the nodes that have someone, and no other", () => {
    const browsers = [0, 0, 2].map((node) => ({ node, user: null, destinations: ["/topic/a"] }));
    const placement = { nodes: 3, browsers, subscribers: new Map([["/topic/a", [0, 1, 2]]]) };
    const events = [
      { at: 0, destination: "/topic/a", bytes: 1024, from: 1 },
      { at: 1, returns: 2, to: 1 },
      { at: 2, destination: "/topic/a", bytes: 0, node: 2 },
    ];
    const [first, second, third] = simulate({ beatSeconds: 0 }, placement, events, 3);
    const names = ["sends", "deliveries", "taken", "echoes", "interest", "takenKiB"];
    const some = (counts) => names.map((name) => counts[name]);
    assert.deepEqual(some(first), [1, 4, 1, 1, 0, 1]);
    assert.deepEqual(some(second), [0, 1, 1, 0, 1, 0]);
    assert.deepEqual(some(third), [1, 1, 1, 0, 0, 1]);
  });
});

describe("the plan", () => {
  const free = (events = {}) => ({ each: {}, events, wake: 10 });
  const costs = { worker: free(), hub: free(), redis: free() };
  const memory = { session: 1024, kernelSocket: 0, subscription: 0, interest: 0, redisChannel: 0, redisUser: 0 };
  const workload = { browsers: 1e6, staySeconds: 1000, notes: { rate: 0.01, bytes: 100 } };
  const machine = { ...MACHINE, browsers: Infinity };

  test("nodes by memory, by CPU, and by a number of browsers", () => {
    const small = { ...machine, bytes: 100 * 1024 * 1000 };
    assert.equal(nodesFor(workload, { costs, memory }, small).memory, 17); // 1e6 KiB over 60,000
    const dear = { ...costs, hub: { ...free(), each: { published: 300 } } };
    assert.equal(nodesFor(workload, { costs: dear, memory }, machine).hub, 5); // 3 s of CPU over 0.6
    assert.equal(nodesFor(workload, { costs, memory }, { ...machine, browsers: 300_000 }).browsers, 4);
  });

  test("the others have the browsers of a lost node on top, within a time", () => {
    const dear = { ...costs, hub: { ...free(), each: { opened: 100 } } };
    const storm = (nodes) => stormOf(workload, nodes, { costs: dear, memory }, { ...machine, stormSeconds: 10 });
    assert.equal(storm(1), Infinity);
    assertNear(storm(2), 5.1, 1e-9); // 500,000 in 10 s and 1,000 a second as always, 100 µs each, on one node
    assertNear(storm(5), 0.525, 1e-9);
  });

  test("what each node does for every message is helped by no number of nodes", () => {
    const topic = { browsers: 1e6, staySeconds: 1000, topics: [{ share: 1, rate: 1000, bytes: 100 }] };
    const dear = { ...costs, hub: { ...free(), each: { taken: 700, echoes: 700 } } };
    assert.equal(nodesFor(topic, { costs: dear, memory }, machine).hub, Infinity);
  });

  test("one Redis is enough up to its load", () => {
    const dear = { ...costs, redis: { ...free(), each: { publish: 100 } } };
    const { browsers } = mostOnOneRedis(workload, { costs: dear, memory }, machine);
    assertNear(browsers, 600_000, 0.01); // 0.01 PUBLISH a second each, 100 µs each, 60 %
    assertNear(planOf(withBrowsers(workload, browsers), 2, { costs: dear, memory }, machine).redis, 0.6, 0.01);
  });

  test("more browsers have more rooms, not larger ones", () => {
    const chat = { browsers: 1, rooms: { count: 10, each: 20, zipf: 0.5, perBrowser: 2, rate: 1, bytes: 1 } };
    const sizes = (browsers) => destinationsOf(withBrowsers(chat, browsers)).map(({ subscribers }) => subscribers);
    assert.deepEqual(sizes(10_000), sizes(1_000_000));
    assertNear(standingOf(withBrowsers(chat, 1e6), 3).subscriptions, 2e6, 0.05);
  });
});

// node bench/scaling.mjs --part tables writes them.
test("the tables of docs/scaling.md are those of bench/scaling.json", async () => {
  const page = await fs.readFile("docs/scaling.md", "utf8");
  const known = JSON.parse(await fs.readFile("bench/scaling.json", "utf8"));
  assert.equal(page, fillPage(page, tablesOf(known)));
});
