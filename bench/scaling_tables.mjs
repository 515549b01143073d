// The tables of docs/scaling.md, from what bench/scaling.json holds. Each stands between two comments with its name; a
// test compares them with the file, so that no number there is written by hand.
import fs from "node:fs/promises";

import { predictBeside, predictRun } from "./scaling_check.mjs";
import { costsOf, THREADS } from "./scaling_fit.mjs";
import { MACHINE, mostOnOneRedis, nodesFor, planOf, stormOf, withBrowsers, WORKLOADS } from "./scaling_plan.mjs";

const TEN_MILLION = 10e6;
const GIB = 2 ** 30;

const THINGS = {
  worker: [
    ["sends", "SEND of a browser"],
    ["inKiB", "KiB of such a body"],
    ["published", "the same, passed on to the hub"],
    ["taken", "message of another worker or node"],
    ["deliveries", "MESSAGE laid out"],
    ["outKiB", "KiB of such a body"],
    ["writes", "write to one of 100 sockets"],
    ["farWrites", "more of it with each tenfold of sockets"],
    ["opened", "browser that comes and goes"],
    ["entries", "more of it where it has a user"],
    ["subscribes", "SUBSCRIBE, and its end"],
    ["interest", "more of it where the node has no other"],
    ["beats", "heart-beat of a browser and the answer"],
  ],
  hub: [
    ["published", "publication to Redis"],
    ["taken", "publication of another node"],
    ["echoes", "its own, which comes back"],
    ["takenKiB", "KiB of what comes back or from others"],
    ["opened", "browser that comes and goes"],
    ["entries", "more of it where it has a user"],
    ["interest", "channel that begins and ends"],
    ["members", "each node, by each, a second"],
  ],
  redis: [
    ["publish", "PUBLISH"],
    ["inKiB", "KiB of its body"],
    ["globs", "more of it for each pattern there is"],
    ["deliver", "copy for a node"],
    ["outKiB", "KiB of its body"],
    ["pushes", "write to a node"],
    ["interest", "SUBSCRIBE and UNSUBSCRIBE"],
    ["entries", "user's session that comes and goes"],
    ["members", "each node, by each, a second"],
  ],
};

const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const inPercent = (part) => `${part < 0 ? "−" : "+"}${Math.abs(part * 100).toFixed(0)} %`;
const ofAll = (part) => (part === 0 ? "0" : part < 0.01 ? "below 1 %" : `${(part * 100).toFixed(0)} %`);
const inMillions = (count) => `${(count / 1e6).toPrecision(2)} million`;
const row = (...cells) => `| ${cells.join(" | ")} |`;
const table = (head, rows) => [head, head.map(() => "---"), ...rows].map((cells) => row(...cells)).join("\n");

/** { costs, memory }, as scaling_plan.mjs takes them. */
export function measuredOf(known) {
  const rows = [...known.alone, ...known.together, ...known.again];
  return { costs: Object.fromEntries(THREADS.map((thread) => [thread, costsOf(rows, thread)])), memory: known.memory };
}

function costsTable({ costs }) {
  const names = { worker: "a worker", hub: "the hub", redis: "Redis" };
  const rows = THREADS.flatMap((thread) => [
    [`**${names[thread]}**: waking up`, `${digits(costs[thread].wake)}`, ""],
    ...THINGS[thread].map(([name, text]) => {
      const { each, events, wake } = costs[thread];
      const woken = events[name] ?? 0;
      const few = each[name] + woken * wake;
      return [text, each[name] < 0.005 ? "too little to tell" : digits(each[name]), woken > 0.005 ? `${digits(few)}` : ""];
    }),
  ]);
  return table(["µs of CPU", "among many", "alone"], rows);
}

function memoryTable({ memory }) {
  const bytes = (value) => (value / 1024).toFixed(2);
  return table(
    ["KiB", "each"],
    [
      ["session with its WebSocket, at the node", bytes(memory.session)],
      ["its socket, in the node's kernel", bytes(memory.kernelSocket)],
      ["subscription", bytes(memory.subscription)],
      ["destination that a node has interest in", bytes(memory.interest)],
      ["its channel, in Redis", bytes(memory.redisChannel)],
      ["session of a user, in Redis", bytes(memory.redisUser)],
    ],
  );
}

function countsTable({ check }) {
  const names = { sends: "SENDs", deliveries: "deliveries", taken: "publications of other nodes" };
  Object.assign(names, { echoes: "publications that came back", opened: "browsers that came back" });
  const rows = Object.entries(names).map(([name, text]) => [
    text,
    ...check.map(({ counts }) => `${counts[name][0]} / ${counts[name][1]}`),
  ]);
  return table(["simulated / counted", ...check.map(({ nodes }) => `${nodes} node${nodes > 1 ? "s" : ""}`)], rows);
}

function checkTable({ check }, { costs }) {
  const names = { worker: "workers", hub: "hubs", redis: "Redis" };
  const rows = check.flatMap((run) => {
    const said = predictRun(run, costs);
    return THREADS.map((thread) => {
      const [model, used] = [said[thread], run.used[thread]];
      return [`${run.nodes}`, names[thread], `${model.toFixed(0)}`, `${used.toFixed(0)}`, inPercent(model / used - 1)];
    });
  });
  return table(["nodes", "thread", "model, ms", "measured, ms", "off by"], rows);
}

function toolTable({ tool }, { costs }) {
  const names = { same: "the publisher's node", other: "the other node" };
  const rows = Object.entries(names).map(([name, text]) => {
    const model = predictBeside(name === "other", costs);
    return [text, model.toFixed(0), tool[name].toFixed(0), inPercent(model / tool[name] - 1)];
  });
  return table(["100 subscribers on", "model, µs a message", "measured by stomp-bench", "off by"], rows);
}

const REPLY_MS = 5000; // REDIS_REPLY_MS in store/redis_store.h

function backTable({ back }) {
  const rows = back.map(({ channels, restoredMs, redisMs, standstillMs }) => [
    thousands(channels),
    `${(restoredMs / 1000).toFixed(2)} s`,
    `${(redisMs / 1000).toFixed(2)} s`,
    `${(standstillMs / 1000).toFixed(2)} s`,
  ]);
  const { channels, redisMs } = back.at(-1);
  const most = `**${inMillions((channels / redisMs) * REPLY_MS)}**`;
  rows.push([most, `${REPLY_MS / 1000} s: the end`, `${REPLY_MS / 1000} s`, "on paper"]);
  return table(["channels", "a node has them again after", "Redis is busy for", "a node with them dies: Redis stands still"], rows);
}

function nodesTable(measured) {
  const texts = {
    memory: "nodes by memory",
    worker: "by workers' CPU",
    hub: "by the hub's CPU",
    network: "by network",
    storm: "by the return of a lost node's browsers",
    browsers: `by ${thousands(MACHINE.browsers)} browsers a node at most`,
    all: "**nodes**",
  };
  const needed = plans().map(([, workload]) => nodesFor(workload, measured));
  const count = (value) => (value === Infinity ? "no number is enough" : String(value));
  const rows = Object.entries(texts).map(([name, text]) => [text, ...needed.map((limits) => count(limits[name]))]);
  return table(["", ...plans().map(([name]) => name)], [...rows, ...redisRows(measured, needed)]);
}

const plans = () => Object.entries(WORKLOADS).map(([name, workload]) => [name, withBrowsers(workload, TEN_MILLION)]);

function redisRows(measured, needed) {
  const at = plans().map(([, workload], n) => planOf(workload, needed[n].all, measured));
  const rates = (name) => at.map((plan) => thousands(plan.rates[name]));
  const storms = plans().map(([, workload], n) => ofAll(stormOf(workload, needed[n].all, measured)));
  const most = Object.values(WORKLOADS).map((workload) => mostOnOneRedis(workload, measured));
  return [
    ["deliveries a second", ...rates("deliveries")],
    ["PUBLISHes a second", ...rates("published")],
    ["copies to nodes a second", ...at.map(({ rates: { taken, echoes } }) => thousands(taken + echoes))],
    ["busiest thread while a lost node's browsers return", ...storms],
    ["Redis, of a processor", ...at.map(({ redis }) => ofAll(redis))],
    ["Redis, Gbit/s out", ...at.map(({ redisBits }) => (redisBits / 1e9).toFixed(2))],
    ["Redis, GiB for channels and users", ...at.map(({ redisBytes }) => (redisBytes / GIB).toFixed(1))],
    [`**Redis, at ${MACHINE.load * 100} % each**`, ...at.map(({ redis }) => `${Math.ceil(redis / MACHINE.load)}`)],
    ["one Redis is enough for", ...most.map(({ browsers }) => inMillions(browsers))],
    ["on so many nodes", ...most.map(({ nodes }) => String(nodes))],
  ];
}

function thousands(value) {
  return value < 10 ? value.toFixed(1) : Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

function machineLine({ machine }) {
  const { processor, processors, kernel, redis, stompd } = machine;
  return `${stompd}, Redis ${redis}, Linux ${kernel}, ${processors} processors: ${processor}.`;
}

/** { name: text } of all that the page has between comments. */
export function tablesOf(known) {
  const measured = measuredOf(known);
  return {
    machine: machineLine(known),
    costs: costsTable(measured),
    memory: memoryTable(measured),
    counts: countsTable(known),
    check: checkTable(known, measured),
    tool: toolTable(known, measured),
    back: backTable(known),
    nodes: nodesTable(measured),
  };
}

/** The page with these tables in it. Throws where it has no place for one. */
export function fillPage(page, tables) {
  return Object.entries(tables).reduce((text, [name, content]) => {
    const place = new RegExp(`(<!-- ${name} -->\n)[^]*?(\n?<!-- /${name} -->)`);
    if (!place.test(text)) {
      throw new Error(`docs/scaling.md has no place for ${name}`);
    }
    return text.replace(place, (_, begin) => `${begin}${content}\n<!-- /${name} -->`);
  }, page);
}

export async function writeTables(known, file) {
  await fs.writeFile(file, fillPage(await fs.readFile(file, "utf8"), tablesOf(known)));
}
