// stompd beside the bare ceiling and RabbitMQ: all do the same works over WebSocket, in turns, several rounds, driven
// by stomp-bench. Prints medians with lowest and highest, and the ratios that must be kept; a ratio that is not, or a
// message that is lost or out of order, makes it fail. The works and their budgets are in works.mjs, who does them in
// servers.mjs. The JSON file is what bench/performance.mjs writes docs/performance.md from.
//
//   node bench/run.mjs [--quick] [--work NAME]… [--without SERVER]… [--rounds N]
//                      [--build build] [--json build/bench.json]
//
// --work and --without are for trials: what they leave out is not judged.
import fs from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";

import { judge } from "./figures.mjs";
import { coresInUse, describeMachine, describeVersions } from "./machine.mjs";
import { report, reportBudgets } from "./report.mjs";
import { Rounds } from "./rounds.mjs";
import { BUDGETS, GROUPS } from "./works.mjs";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    work: { type: "string", multiple: true, default: [] },
    without: { type: "string", multiple: true, default: [] },
    rounds: { type: "string" },
    build: { type: "string", default: "build" },
    json: { type: "string" },
  },
});
process.env.STOMPD_BIN = path.resolve(options.build, "stompd");
const { KINDS } = await import("./servers.mjs");

const FULL = { rounds: 5, slowRounds: 3, ownRounds: true, seconds: 1.2, warmUpSeconds: 0.3, inAllSeconds: 480 };
const QUICK = { rounds: 3, slowRounds: 1, ownRounds: true, seconds: 0.8, warmUpSeconds: 0.3, inAllSeconds: 100 };
const asked = Number(options.rounds);
const rounds = options.rounds ? { rounds: asked, slowRounds: asked, ownRounds: false } : {};
const plan = { ...(options.quick ? QUICK : FULL), ...rounds };

const QUIET_CORES = 0.1;

/** The groups with the works that are asked for, and with the servers that are to do them. */
function chosenGroups() {
  const isChosen = ({ name, servers }) =>
    servers.length > 0 && (options.work.length === 0 || options.work.includes(name));
  const choose = (work) => {
    const servers = options.quick ? (work.quick ?? []) : work.servers;
    return { ...work, servers: servers.filter((key) => !options.without.includes(key)) };
  };
  const groups = GROUPS.map((group) => ({ ...group, works: group.works.map(choose).filter(isChosen) }));
  return groups.filter(({ works }) => works.length > 0);
}

async function checkPrograms() {
  for (const name of ["stompd", "stomp-bench", "ceiling"]) {
    const program = path.resolve(options.build, name);
    await fs.access(program).catch(() => {
      throw new Error(`there is no ${program}: ./dev build makes it`);
    });
  }
}

function checkNames() {
  const works = GROUPS.flatMap((group) => group.works.map(({ name }) => name));
  for (const [given, known] of [
    [options.work, works],
    [options.without, Object.keys(KINDS)],
  ]) {
    const unknown = given.find((name) => !known.includes(name));
    if (unknown !== undefined) {
      throw new Error(`there is no ${unknown}; there are ${known.join(", ")}`);
    }
  }
}

/** Those of what was to be measured. */
function chosenBudgets(groups) {
  const isMeasured = ([name, key]) =>
    groups.some(({ works }) => works.some((work) => work.name === name && work.servers.includes(key)));
  return BUDGETS.filter(({ of, against }) => isMeasured(of) && (!against || isMeasured(against)));
}

async function main(measured) {
  checkNames();
  await checkPrograms();
  const started = Date.now();
  const groups = chosenGroups();
  const others = await othersCores();
  for (const group of groups) {
    await measured.play(group);
    report(group, measured);
  }
  const figuresOf = (...key) => measured.measurementOf(...key)?.figures;
  const budgets = chosenBudgets(groups).map((budget) => judge(budget, figuresOf));
  reportBudgets(budgets);
  await write({ measured, groups, budgets, others, seconds: (Date.now() - started) / 1000 });
  const broken = budgets.filter(({ isKept }) => !isKept).length;
  if (measured.faults.length > 0) {
    throw new Error(`something was lost or out of order:\n${measured.faults.join("\n")}`);
  }
  if (broken > 0) {
    throw new Error(`${broken} of ${budgets.length} budgets are not kept`);
  }
}

/** What others take of the machine just now; said when it is more than nothing. */
async function othersCores() {
  const cores = await coresInUse(1000);
  if (cores > QUIET_CORES) {
    console.log(`something else uses ${cores.toFixed(2)} of the cores: the figures will not be what they could be`);
  }
  return cores;
}

async function write({ measured, groups, budgets, others, seconds }) {
  const works = groups.flatMap(({ works: list }) => list);
  const all = {
    date: new Date().toISOString().slice(0, 10),
    machine: { ...describeMachine(), coresInUseBefore: others },
    versions: await describeVersions(options.build),
    plan,
    seconds,
    works: works.map(({ name, title, figure, rate }) => ({ name, title, figure, rate })),
    measurements: measured.measurements,
    budgets,
    faults: measured.faults,
  };
  const file = options.json ?? path.join(options.build, "bench.json");
  await fs.writeFile(file, `${JSON.stringify(all, null, 2)}\n`);
  console.log(`\n${Math.round(seconds)} s; all figures are in ${file}`);
}

const measured = new Rounds({ kinds: KINDS, plan, build: options.build, say: console.log });
const interrupted = new Promise((_, reject) => {
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  }
});
try {
  await Promise.race([main(measured), interrupted]);
} catch (error) {
  fail(error);
}
await measured.stop().catch((error) => process.exitCode ?? fail(error)); // what was told already is told once
process.exit(); // what was being started, or measured, ends with us

function fail({ message }) {
  console.error(`bench/run: ${message}`);
  process.exitCode = 1;
}
