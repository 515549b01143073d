// How many instructions the daemon's work takes: parsing, matching, laying out, and a whole SEND to 100 subscribers, as
// callgrind counts them in the program of bench/instructions.c. Unlike times they do not depend on what else the
// machine does, nor, as the C library is kept from choosing by it, on the processor's model. They are compared with
// bench/instructions.json: a scenario that takes over 5 % more fails, with the functions that have grown.
//
// They do depend on the compiler. One that the file has nothing of fails too, for nothing was compared; --write adds
// what it makes of the present sources, or replaces it, and leaves that of other compilers alone.
//
//   node bench/instructions.mjs [--write] [--build build]
import { execFile } from "node:child_process";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs, promisify } from "node:util";

import { compare, readCallgrind, TOLERANCE } from "./instructions_compare.mjs";

const { values: options } = parseArgs({
  options: { write: { type: "boolean", default: false }, build: { type: "string", default: "build" } },
});

const PROGRAM = path.resolve(options.build, "instructions");
const FILE = new URL("instructions.json", import.meta.url);

// Of its variants of memcpy() and the like the C library takes those that every x86-64 processor can run.
const WITHOUT = ["AVX2", "AVX2_Usable", "AVX_Fast_Unaligned_Load", "SSSE3", "ERMS", "FSRM"];
const ENVIRONMENT = {
  PATH: process.env.PATH,
  GLIBC_TUNABLES: `glibc.cpu.hwcaps=${WITHOUT.map((feature) => `-${feature}`).join(",")}`,
};

const run = promisify(execFile);

async function ask(option) {
  return (await run(PROGRAM, [option])).stdout.trim();
}

async function count(scenario, folder) {
  const out = path.join(folder, scenario);
  const { stdout } = await run(
    "valgrind",
    [
      ...["--quiet", "--tool=callgrind", "--toggle-collect=measured", `--callgrind-out-file=${out}`],
      ...["--compress-strings=no", "--compress-pos=no", "--dump-line=no", PROGRAM, scenario],
    ],
    { env: ENVIRONMENT },
  );
  const [, units, unit] = /^(\d+) (.*)$/m.exec(stdout);
  const counts = readCallgrind(await fs.readFile(out, "utf8"), Number(units));
  if (!(counts.total > 0)) {
    throw new Error(`callgrind has counted nothing in ${scenario}`);
  }
  return { unit, counts };
}

/** All scenarios: { units: { NAME: unit }, counts: { NAME: … } }. */
async function countAll() {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "stompd-instructions-"));
  const [units, counts] = [{}, {}];
  try {
    for (const scenario of (await ask("--list")).split("\n")) {
      ({ unit: units[scenario], counts: counts[scenario] } = await count(scenario, folder));
    }
  } finally {
    await fs.rm(folder, { recursive: true });
  }
  return { units, counts };
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

const inPercent = (change) => `${change < 0 ? "" : "+"}${(change * 100).toFixed(1)} %`;
const figure = (number) => number.toFixed(1).padStart(11);

function show({ name, before, now, change, verdict, grown = [] }, unit) {
  const figures = [before, now].map((counts) => (counts ? figure(counts.total) : "–".padStart(11)));
  const changed = change === undefined ? "" : inPercent(change);
  console.log(`${name.padEnd(15)}${figures.join("")} ${changed.padStart(9)}  ${verdict.padEnd(10)}a ${unit}`);
  for (const { name: grower, before: was, now: is } of grown) {
    console.log(`    ${grower} takes ${is.toFixed(1)} instead of ${was?.toFixed(1) ?? "next to nothing"}`);
  }
}

function report(compiler, before, { units, counts }) {
  const results = compare(before, counts);
  const isMissing = Object.keys(before).length === 0;
  const broken = results.filter(({ isKept }) => !isKept);
  console.log(`instructions, compiled by ${compiler}`);
  console.log(`${"".padEnd(15)}${"before".padStart(11)}${"now".padStart(11)}`);
  results.forEach((result) => show(result, units[result.name] ?? "unit"));
  if (isMissing) {
    console.log(`there is nothing of ${compiler} to compare with: ./dev instructions --write adds this`);
  } else if (broken.some(({ verdict }) => verdict !== "dearer") || results.some(({ verdict }) => verdict === "cheaper")) {
    console.log("./dev instructions --write makes these the ones to compare with");
  }
  if (results.some(({ verdict }) => verdict === "dearer")) {
    console.log(`more than ${TOLERANCE * 100} % dearer is a failure; if it is the price of something, --write it`);
  }
  console.log(`${results.length - broken.length} scenarios as they should be, ${broken.length} not`);
  process.exitCode = broken.length > 0 ? 1 : 0;
}

const compiler = (await ask("--compiler")).replace(/\s+/g, " ");
const known = await readKnown();
const measured = await countAll();
report(compiler, known[compiler] ?? {}, measured);
if (options.write) {
  await fs.writeFile(FILE, `${JSON.stringify({ ...known, [compiler]: measured.counts }, null, 2)}\n`);
  console.log("written to bench/instructions.json");
  process.exitCode = 0;
}
