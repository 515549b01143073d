// Writes docs/performance.md from what bench/run.mjs has found, so that no figure in it is older than the others.
//
//   node bench/performance.mjs [build/bench.json] [docs/performance.md]
import fs from "node:fs/promises";

import { bound, describe, number, unitOf } from "./report.mjs";

const [source = "build/bench.json", target = "docs/performance.md"] = process.argv.slice(2);

function table(head, rows) {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

const inGiB = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

function budgets({ budgets: all }) {
  const or = (value, otherwise) => (value === null ? otherwise : number(value));
  const rows = all.map((one) => [
    one.title,
    or(one.value, "not measured"),
    bound(one),
    one.isKept ? "yes" : "**no**",
    or(one.ceilingValue, ""),
  ]);
  return table(["work", "measured", "budget", "kept", "the ceiling's"], rows);
}

/** Of budgets that are not kept: those that the ceiling would not keep either. */
function beyondReach({ budgets: all }) {
  const beyond = all.filter(({ isKept, ceilingValue, atLeast }) => !isKept && ceilingValue && ceilingValue < atLeast);
  if (beyond.length === 0) {
    return "";
  }
  const lines = beyond.map(({ title, ceilingValue, atLeast }) => `- ${title}: ${number(ceilingValue)}, not ${atLeast}`);
  return [
    "\n\nThe ceiling itself would not keep these on this machine. What is left there is above all what the kernel takes",
    "to read, to write and to wake who waits, and that is the same for all:\n",
    ...lines,
  ].join("\n");
}

function machine({ machine: about, versions }) {
  const { cpu, cores, isVirtual, coresInUseBefore, memoryBytes, kernel, system, openFiles } = about;
  const rows = [
    ["processor", `${cpu}, ${cores} cores${isVirtual ? " of a virtual machine" : ""}`],
    ["cores that others used before the run", coresInUseBefore.toFixed(2)],
    ["memory", inGiB(memoryBytes)],
    ["system", `${system}, Linux ${kernel}`],
    ["open files of a process, hard limit", number(openFiles)],
    ["stompd", [versions.stompd, versions.commit].filter(Boolean).join(", ")],
    ["compiler", versions.compiler],
    ["libwebsockets", versions.libwebsockets],
    ["Redis", versions.redis],
    ["RabbitMQ", versions.rabbitmq],
    ["Erlang", versions.erlang],
  ];
  return table(["", ""], rows.map(([what, is]) => [what, is ?? "unknown"]));
}

/** All works whose figures are in the same units. */
function figuresOf({ works, measurements }, figure) {
  const chosen = works.filter((work) => work.figure === figure);
  const rows = chosen.flatMap(({ name, title, rate }) =>
    measurements
      .filter(({ work }) => work === name)
      .map(({ title: server, rounds, figures }, n) => [
        n === 0 ? title : "",
        server,
        describe(figures[figure]),
        describe(figures[rate]),
        describe(figures.server_cores),
        rounds.length,
      ]),
  );
  const head = ["work", "server", unitOf(figure), unitOf(chosen[0]?.rate), "cores in use", "rounds"];
  return rows.length > 0 ? table(head, rows) : "";
}

function allFigures(all) {
  const figures = [...new Set(all.works.map(({ figure }) => figure))];
  return figures.map((figure) => figuresOf(all, figure)).join("\n\n");
}

function asManyAsPossible({ measurements, machine: { openFiles } }) {
  const one = measurements.find(({ work }) => work === "idle-all");
  if (!one?.figures.connections) {
    return "Not measured in this run.";
  }
  const { connections, ...figures } = one.figures;
  const rows = [
    ["all were open after, s", figures.connect_seconds],
    ["opened in a second", figures.connections_per_second],
    ["one message to all, ms, as soon as all were open", figures.first_to_all_ms],
    ["one message to all, ms, after a while without", figures.last_to_all_ms],
    ["resident memory of the node, bytes", figures.server_resident_bytes],
    ["of it for a connection, bytes", figures.resident_bytes_per_connection],
  ];
  return [
    `${number(connections.median)} browsers on one node with one worker, each with a subscription, where a process may`,
    `have ${number(openFiles)} open files. The time of a message to all ends when the last of them has it.`,
    "",
    table(["", "median (lowest to highest)"], rows.map(([what, spread]) => [what, describe(spread)])),
  ].join("\n");
}

/** Each once, in the order of the works. */
function commands({ works, measurements }) {
  const lines = works.map(({ name }) => measurements.find(({ work }) => work === name)?.arguments);
  const known = lines.filter(Boolean).map((args) => ["stomp-bench", ...args, "--target URL --pid PID"].join(" "));
  return ["```text", ...new Set(known), "```"].join("\n");
}

function faults({ faults: all }) {
  const lines = all.map((line) => `- ${line}`);
  return all.length === 0
    ? "Nothing was lost, came twice, came out of order or was damaged in any of the runs."
    : ["**Not all was as it should be**; the rounds in which it was not are left out:", "", ...lines].join("\n");
}

function page(all) {
  const { plan, date, seconds } = all;
  const isDear = all.budgets.filter(({ isKept }) => !isKept).length;
  return `# Speed and memory

What stompd does for a second of CPU, beside two others that do the same work in the same run: the bare ceiling
([bench/ceiling.c](../bench/ceiling.c): one thread with epoll that writes the same bytes and checks nothing), which is what could be
had at most, and RabbitMQ with Web STOMP as Debian ships it, which is what people have. All of this file is written by
\`bench/performance.mjs\` from what \`./dev bench\` found on ${date}: change that, not this.

## Budgets

Ratios of medians, of deliveries (or clients) for a second of CPU if nothing else is said; the last column is the ratio that the
ceiling itself has to the same server. ${isDear === 0 ? "All are kept." : `${isDear} of ${all.budgets.length} are not kept.`}
${faults(all)}

${budgets(all)}${beyondReach(all)}

## Machine and versions

${machine(all)}

## Figures

Medians of the rounds, with lowest and highest. CPU is that of all processes of a server: of two nodes with their Redis, of RabbitMQ
with its helpers and epmd. Bodies have 128 bytes, all connections are WebSockets without TLS, stompd has one worker a node unless
it says 2. With a window of N a publisher has at most N messages on their way and sends the next one when all subscribers have one:
the server can lay more of them into one write than it could for publishers that wait, so a larger window is cheaper for all three.

${allFigures(all)}

## As many browsers as open files allow

${asManyAsPossible(all)}

## Do it again

\`./dev bench\` installs what is missing, builds, and measures this (${Math.round(seconds)} s), then the way of messages between nodes
(\`bench/relay.mjs\`) and queues (\`bench/queue.mjs\`); \`./dev bench quick\` takes two minutes for the main works.
It ends with status 1 when a budget is not kept or a message is lost. A part of it, without RabbitMQ:

\`\`\`bash
node bench/run.mjs --work fan-out-1-100-w32 --work pairs-100 --without rabbitmq
\`\`\`

In each of ${plan.rounds} rounds (${plan.slowRounds} for RabbitMQ, others where the tables say so) the servers take turns, each for
${plan.seconds} s after ${plan.warmUpSeconds} s that do not count. These are the commands, which can be given to any server; for another node there is
a \`--publish-target\` too. \`build/bench.json\` has them as they were run, and every figure of every round.

${commands(all)}

## What these figures are not

- One machine, and its loopback: no network, no cards, no interrupts, and a round trip that costs next to nothing. A real network
  adds the kernel's work for it, to all servers alike, so all ratios would be nearer to 1.
- Its ${all.machine.cores} cores are shared with the client, which takes up to one of them, and in the cluster's works with both
  nodes and Redis. So deliveries a second are what this arrangement gives and no measure of a server's most; deliveries for
  a second of CPU are what is compared. A server that is idle for part of the time pays for being woken up, most of all
  where one message is on its way at a time.
- The ceiling is no server. It does without checks, limits, heart-beats, users, patterns and other nodes, and nothing says that one
  could be built as fast.
- RabbitMQ is as Debian configures it, with one node if nothing else is said. It does much that stompd does not, and each
  subscription to a topic is a queue of its own there: messages to two subscriptions of a connection may overtake each
  other, which is not held against it. Another version, or one tuned for this, has other figures.
- Short rounds of steady work. A spread of several per cent from run to run is this machine's; a ratio nearer than that to its
  budget may be kept in one run and not in the next.
- Memory is what the process has grown by for connections that were opened at once and had two messages each. Kernel memory of
  sockets is not in it.
`;
}

const all = JSON.parse(await fs.readFile(source, "utf8"));
await fs.writeFile(target, page(all));
console.log(`${target} is written from ${source}`);
