// What a node and a Redis can carry (docs/scaling.md): measures what each thing costs, plays one workload to 1, 2 and 3
// nodes to see how far the model is off, and writes the tables of docs/scaling.md. All of it takes some three minutes of two
// processors, one of them for the browsers.
//
//   node bench/scaling.mjs [--part NAME] [--build build] [--look]
//
// Each part is measured under a minute and kept in bench/scaling.json: alone, together, again, memory, back, check, tool;
// without --part it is all of them. `tables` measures nothing. --look prints what each work was off by, to see what is wrong.
import { execFile } from "node:child_process";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs, promisify } from "node:util";

const { values: options } = parseArgs({
  options: {
    part: { type: "string" },
    build: { type: "string", default: "build" },
    look: { type: "boolean", default: false },
  },
});
process.env.STOMPD_BIN ??= path.resolve(options.build, "stompd");
const { Cluster } = await import("./scaling_cluster.mjs");
const { BESIDE, keep, runCheck, usersConf, WORKLOAD } = await import("./scaling_check.mjs");
const { costsOf, predict, THREADS } = await import("./scaling_fit.mjs");
const { measureMemory } = await import("./scaling_memory.mjs");
const { measureReturn } = await import("./scaling_return.mjs");
const { ALONE, runAll, TOGETHER } = await import("./scaling_works.mjs");
const { writeTables } = await import("./scaling_tables.mjs");

const FILE = new URL("scaling.json", import.meta.url);
const PAGE = new URL("../docs/scaling.md", import.meta.url);
const CHECK_SECONDS = 8;
const USERS = 600;
const RETURNING = [100_000, 400_000, 1_200_000]; // channels

/** A cluster for as long as `use` takes. */
async function withCluster(options_, use) {
  const cluster = await new Cluster(options_).start();
  try {
    return await use(cluster);
  } finally {
    await cluster.stop();
  }
}

const alone = () => withCluster({ nodes: 1, isAlone: true }, (cluster) => runAll(cluster, ALONE));

/** Entries of nodes that are nobody's must not be taken for dead ones. */
const together = () => {
  const conf = { ...usersConf(USERS), cluster: { "node-timeout": "1h" } };
  return withCluster({ nodes: 2, conf }, (cluster) => runAll(cluster, TOGETHER));
};

async function check() {
  const runs = [];
  for (const nodes of [1, 2, 3]) {
    const conf = usersConf(WORKLOAD.browsers);
    const run = (cluster) => runCheck(cluster, WORKLOAD, CHECK_SECONDS, nodes);
    runs.push(keep(await withCluster({ nodes, conf }, run)));
  }
  return runs;
}

const memory = () => withCluster({ nodes: 1, conf: usersConf(USERS) }, (cluster) => measureMemory(cluster, USERS));

async function back() {
  const returns = [];
  for (const channels of RETURNING) {
    returns.push(await withCluster({ nodes: 1 }, (cluster) => measureReturn(cluster, channels)));
  }
  return returns;
}

/** What stomp-bench says that a message costs the server: { same, other } node, in microseconds. */
async function beside(cluster) {
  const program = path.join(path.dirname(process.env.STOMPD_BIN), "stomp-bench");
  const [a, b] = cluster.ports.map((port) => `ws://127.0.0.1:${port}/ws`);
  const pids = [...cluster.nodes, cluster.redis.child].flatMap(({ pid }) => ["--pid", pid]);
  const { rate, subscribers, seconds, bytes } = BESIDE;
  const work = ["--rate", rate, "--subscribers", subscribers, "--duration", seconds, "--size", bytes, "--json", "-"];
  const measure = async (...targets) => {
    const { stdout } = await promisify(execFile)(program, ["fan-out", ...targets, ...pids, ...work].map(String));
    return JSON.parse(stdout).results[0].server_us_per_message;
  };
  return { same: await measure("--target", a), other: await measure("--target", b, "--publish-target", a) };
}

const tool = () => withCluster({ nodes: 2 }, beside);

const PARTS = { alone, together, again: together, memory, back, check, tool };

async function machine() {
  const { stdout } = await promisify(execFile)("redis-server", ["--version"]);
  const { stdout: version } = await promisify(execFile)(process.env.STOMPD_BIN, ["-V"]);
  return {
    processor: os.cpus()[0].model,
    processors: os.cpus().length,
    kernel: os.release().split(".", 2).join("."),
    redis: /v=(\S+)/.exec(stdout)[1],
    stompd: version.trim(),
  };
}

async function readKnown() {
  try {
    return JSON.parse(await fs.readFile(FILE, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") {
      return {};
    }
    throw error;
  }
}

/** Numbers with as many digits as they are worth, and a line a row. */
function written(known) {
  const isLong = (value) => typeof value === "number" && !Number.isInteger(value);
  const short = (key, value) => (isLong(value) ? Number(value.toPrecision(6)) : value);
  const rows = (list) => list.map((row) => `    ${JSON.stringify(row, short)}`).join(",\n");
  const parts = Object.entries(known).map(([name, value]) =>
    Array.isArray(value) ? `  "${name}": [\n${rows(value)}\n  ]` : `  "${name}": ${JSON.stringify(value, short)}`,
  );
  return `{\n${parts.join(",\n")}\n}\n`;
}

function look(known) {
  const rows = [...known.alone, ...known.together, ...(known.again ?? [])];
  for (const thread of THREADS) {
    const { each, events, wake } = costsOf(rows, thread);
    console.log(thread, { wake, each, events });
    for (const { work, counts, cpu, wakes } of rows.filter((row) => row.thread === thread && row.cpu > 3000)) {
      const off = predict(counts, each) + wakes * wake - cpu;
      console.log(`${((off / cpu) * 100).toFixed(0).padStart(5)} % of ${(cpu / 1000).toFixed(1)} ms  ${work}`);
    }
  }
}

async function main() {
  const known = await readKnown();
  const parts = options.part ? [options.part] : [...Object.keys(PARTS), "tables"];
  for (const part of parts) {
    const started = performance.now();
    if (part === "tables") {
      await writeTables(known, PAGE);
    } else if (PARTS[part]) {
      known[part] = await PARTS[part]();
      known.machine = await machine();
      await fs.writeFile(FILE, written(known));
    } else {
      throw new Error(`no part ${part}: ${Object.keys(PARTS).join(", ")}, tables`);
    }
    console.log(`${part}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
  }
  if (options.look) {
    look(known);
  }
}

await main();
