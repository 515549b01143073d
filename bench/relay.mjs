// What it costs to reach subscribers on another node: two nodes and a Redis, all on this machine, plain STOMP over TCP.
// Rounds of the same work on one node and across two alternate; the medians and their ratios are printed, and a budget
// that is not kept makes it fail:
//
//   fan-out   messages a second from one publisher to 100 subscribers, on the other node against the same: 0.5 at least
//   trip      what a message takes longer to a subscriber on the other node, against a bare Redis PUBLISH until it
//             reaches its subscriber: 2 times at most
//
//   node bench/relay.mjs [--rounds 5] [--messages 20000] [--trips 2000] [--build build]
import { execFile } from "node:child_process";
import path from "node:path";
import { parseArgs, promisify } from "node:util";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    messages: { type: "string", default: "20000" },
    trips: { type: "string", default: "2000" },
    build: { type: "string", default: "build" },
  },
});
process.env.STOMPD_BIN ??= path.resolve(options.build, "stompd");
const { Daemon } = await import("../tests/system/lib/daemon.mjs");
const { Redis } = await import("../tests/system/lib/redis.mjs");

const SUBSCRIBERS = 100;
const WINDOW = 32;
const FANOUT_AT_LEAST = 0.5;
const TRIP_AT_MOST = 2;

const run = promisify(execFile);

async function relay(...args) {
  const { stdout } = await run(path.resolve(options.build, "relay"), args.map(String));
  return Number(stdout);
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function describe(values, unit) {
  return `${median(values)} ${unit} (${Math.min(...values)} to ${Math.max(...values)})`;
}

async function startNode(name, redis) {
  const node = new Daemon({
    server: { node: name, workers: "1" },
    cluster: { redis: redis.address, prefix: "bench:" },
    "listen web": null,
  });
  return node.start();
}

async function measure(redis, a, b) {
  const figures = { same: [], across: [], tripSame: [], tripAcross: [], bare: [] };
  for (let round = 0; round < Number(options.rounds); round++) {
    figures.same.push(await relay("fanout", a, a, SUBSCRIBERS, options.messages, WINDOW));
    figures.across.push(await relay("fanout", a, b, SUBSCRIBERS, options.messages, WINDOW));
    figures.tripSame.push(await relay("trip", a, a, options.trips));
    figures.tripAcross.push(await relay("trip", a, b, options.trips));
    figures.bare.push(await relay("redis", redis.address.replace("unix:", ""), options.trips));
  }
  return figures;
}

function report({ same, across, tripSame, tripAcross, bare }) {
  const ratio = median(across) / median(same);
  const added = (median(tripAcross) - median(tripSame)) / median(bare);
  console.log(`fan-out 1 to ${SUBSCRIBERS}, 128-byte bodies, window ${WINDOW}, medians of ${options.rounds} rounds:`);
  console.log(`  same node      ${describe(same, "messages/s")}`);
  console.log(`  other node     ${describe(across, "messages/s")}`);
  console.log(`  ratio          ${ratio.toFixed(2)}, at least ${FANOUT_AT_LEAST}`);
  console.log("trip of one message, one at a time:");
  console.log(`  same node      ${describe(tripSame, "µs")}`);
  console.log(`  other node     ${describe(tripAcross, "µs")}`);
  console.log(`  bare Redis     ${describe(bare, "µs")}`);
  console.log(`  added by it    ${added.toFixed(2)} times the bare one, at most ${TRIP_AT_MOST}`);
  return ratio >= FANOUT_AT_LEAST && added <= TRIP_AT_MOST;
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => process.exit(1)); // those who were started end with us
}
const redis = await new Redis({ unix: true }).start();
const nodes = [await startNode("bench-a", redis), await startNode("bench-b", redis)];
const [a, b] = nodes.map((node) => node.ports.plain);
const kept = report(await measure(redis, a, b));
for (const node of nodes) {
  await node.stop();
}
await redis.remove();
if (!kept) {
  console.log("a budget is not kept");
  process.exitCode = 1;
}
