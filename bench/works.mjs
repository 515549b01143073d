// What bench/run.mjs has done, by whom, and what must come of it. A work is
//
//   name, title
//   args        stomp-bench's command and options, but for the target, the server's processes, and how long
//   servers     who does it, by key (servers.mjs)
//   quick       who does it in a quick run; without it: no one
//   figure      of stomp-bench's figures the one that counts
//   rate        the one that is shown beside it
//   targets     from a server's URLs to the options that say where to connect; without it: to the first
//   forgives    what servers do that they have not promised not to, by server: [fault] as in figures.mjs
//   timed       false: `args` say how long it takes
//   rounds      how many rounds it takes, by server, if not as many as others
//
// and belongs to a group, whose servers run at the same time and take turns; those of a group that is `fresh` are
// started anew for each measurement. `share` is the group's part of the time that there is. Budgets are those of
// judge() in figures.mjs.
import { hardLimitOfOpenFiles } from "./machine.mjs";

const DELIVERIES = { figure: "deliveries_per_cpu_second", rate: "deliveries_per_second" };
const CLIENTS = { figure: "clients_per_cpu_second", rate: "clients_per_second" };
const MESSAGES = { figure: "server_us_per_message", rate: "deliveries_per_second" };
const LATENCY = { figure: "latency_p99_ms", rate: "deliveries_per_second" };
const MEMORY = { figure: "resident_bytes_per_connection", rate: "connections_per_second" };

// Of the open files that stompd and stomp-bench may have, some are neither's connections.
const OTHER_FILES = 500;
const PORTS_OF_AN_ADDRESS = 12_000; // with more the kernel takes longer and longer to find a free one
const MOST_BROWSERS = 100_000;

const all = ["stompd", "ceiling", "rabbitmq"];
const own = ["stompd", "ceiling"];

function fanOut(publishers, subscribers, window, more) {
  return {
    name: `fan-out-${publishers}-${subscribers}-w${window}`,
    title: `fan-out ${publishers}→${subscribers}, window ${window}`,
    args: ["fan-out", "--publishers", publishers, "--subscribers", subscribers, "--window", window],
    servers: all,
    ...DELIVERIES,
    ...more,
  };
}

function match(subscriptions, more) {
  return {
    name: `match-${subscriptions}`,
    title: `${subscriptions.toLocaleString("en")} subscriptions, random targets`,
    args: ["match", "--subscriptions", subscriptions, "--window", 32, "--timeout", "60s"],
    ...more,
  };
}

function idle(connections, more) {
  return {
    name: `idle-${connections}`,
    title: `${connections.toLocaleString("en")} idle browsers`,
    args: ["idle", "--connections", connections, "--duration", "3s", "--timeout", "60s"],
    timed: false,
    ...MEMORY,
    ...more,
  };
}

/** With a part of them from each of several loopback addresses. */
function asManyAsPossible() {
  const connections = Math.min(hardLimitOfOpenFiles() - OTHER_FILES, MOST_BROWSERS);
  const addresses = Array.from({ length: Math.ceil(connections / PORTS_OF_AN_ADDRESS) }, (_, n) => `127.0.0.${n + 2}`);
  const work = idle(connections, { name: "idle-all", servers: ["stompd"], rounds: { stompd: 2 } });
  return { ...work, args: [...work.args, "--from", addresses.join(",")] };
}

const workers = { servers: ["stompd", "workers2"], quick: ["stompd", "workers2"] };
const across = ([a, b]) => ["--target", b, "--publish-target", a];
const pairs = { title: "100 pairs, one in flight each", args: ["pairs", "--pairs", 100, "--window", 1], ...DELIVERIES };

export const GROUPS = [
  {
    share: 0.6,
    works: [
      fanOut(1, 1, 1),
      fanOut(1, 1, 32, { quick: all }),
      fanOut(1, 100, 32, { quick: all }),
      fanOut(1, 100, 8),
      fanOut(1, 1000, 32),
      fanOut(1, 1000, 8, { quick: own }),
      fanOut(10, 10, 32, { quick: all }),
      { ...pairs, name: "pairs-100", servers: all, quick: all },
      {
        name: "churn",
        title: "connect, subscribe, leave",
        args: ["churn"],
        servers: all,
        quick: ["stompd", "rabbitmq"],
        ...CLIENTS,
      },
      match(10_000, {
        servers: ["stompd", "rabbitmq"],
        rounds: { rabbitmq: 2 },
        forgives: { rabbitmq: ["reordered"] }, // each subscription has a queue, and those of a connection race
        ...DELIVERIES,
      }),
    ],
  },
  {
    share: 0.18,
    works: [
      match(1000, { servers: ["stompd"], ...MESSAGES }),
      match(1_000_000, { servers: ["stompd"], ...MESSAGES }),
      {
        name: "latency",
        title: "3,000 messages/s, 1→100",
        args: ["fan-out", "--subscribers", 100, "--rate", 3000],
        servers: own,
        quick: own,
        rounds: { stompd: 7, ceiling: 7 }, // a percentile is restless
        ...LATENCY,
      },
      fanOut(1, 100, 32, { ...workers, name: "workers-fan-out", title: "1 and 2 workers: fan-out 1→100, window 32" }),
      { ...pairs, ...workers, name: "workers-pairs", title: "1 and 2 workers: 100 pairs, one in flight each" },
    ],
  },
  {
    share: 0.08,
    works: [
      fanOut(1, 100, 32, {
        name: "cluster-same",
        title: "fan-out 1→100 on one node of two",
        servers: ["nodes"],
        quick: ["nodes"],
      }),
      fanOut(1, 100, 32, {
        name: "cluster-other",
        title: "fan-out 1→100 on the other node",
        servers: ["nodes", "brokers"],
        quick: ["nodes"],
        targets: across,
      }),
    ],
  },
  {
    share: 0.14,
    fresh: true,
    works: [
      idle(10_000, { servers: ["stompd", "rabbitmq"], quick: ["stompd"], rounds: { stompd: 3, rabbitmq: 1 } }),
      asManyAsPossible(),
    ],
  },
];

/** stompd's ratio to others in a work, by the least that it must be; beside RabbitMQ's what the ceiling has. */
function beside(name, least) {
  const work = GROUPS.flatMap(({ works }) => works).find((other) => other.name === name);
  return Object.entries(least).map(([server, atLeast]) => ({
    title: `${work.title}, against ${server === "ceiling" ? "the bare ceiling" : "RabbitMQ"}`,
    figure: work.figure,
    of: [name, "stompd"],
    against: [name, server],
    ceiling: server === "rabbitmq" ? [name, "ceiling"] : undefined,
    atLeast,
  }));
}

export const BUDGETS = [
  ...beside("fan-out-1-1-w1", { ceiling: 0.6, rabbitmq: 12 }),
  ...beside("fan-out-1-1-w32", { ceiling: 0.6, rabbitmq: 12 }),
  ...beside("fan-out-1-100-w32", { ceiling: 0.7, rabbitmq: 60 }),
  ...beside("fan-out-1-100-w8", { ceiling: 0.7, rabbitmq: 60 }),
  ...beside("fan-out-1-1000-w32", { ceiling: 0.7, rabbitmq: 60 }),
  ...beside("fan-out-1-1000-w8", { ceiling: 0.7, rabbitmq: 60 }),
  ...beside("fan-out-10-10-w32", { ceiling: 0.6, rabbitmq: 8 }),
  ...beside("pairs-100", { ceiling: 0.6, rabbitmq: 12 }),
  ...beside("churn", { rabbitmq: 25 }),
  ...beside("match-10000", { rabbitmq: 15 }),
  {
    title: "CPU a message with 1,000,000 subscriptions, against 1,000",
    figure: "server_us_per_message",
    of: ["match-1000000", "stompd"],
    against: ["match-1000", "stompd"],
    atMost: 1.3,
  },
  {
    title: "bytes of an idle browser, 10,000 connected",
    figure: "resident_bytes_per_connection",
    of: ["idle-10000", "stompd"],
    atMost: 4096,
  },
  {
    title: "memory of an idle browser, against RabbitMQ",
    figure: "resident_bytes_per_connection",
    of: ["idle-10000", "stompd"],
    against: ["idle-10000", "rabbitmq"],
    atMost: 1 / 40,
  },
  {
    title: "fan-out 1→100 on the other node, against the same node",
    figure: "deliveries_per_cpu_second",
    of: ["cluster-other", "nodes"],
    against: ["cluster-same", "nodes"],
    atLeast: 0.6,
  },
  {
    title: "fan-out 1→100 on the other node, against RabbitMQ",
    figure: "deliveries_per_cpu_second",
    of: ["cluster-other", "nodes"],
    against: ["cluster-other", "brokers"],
    atLeast: 40,
  },
  {
    title: "p99 at 3,000 messages/s, 1→100, against the bare ceiling",
    figure: "latency_p99_ms",
    of: ["latency", "stompd"],
    against: ["latency", "ceiling"],
    atMost: 1.5,
  },
  {
    title: "2 workers, fan-out 1→100, against 1 worker",
    figure: "deliveries_per_cpu_second",
    of: ["workers-fan-out", "workers2"],
    against: ["workers-fan-out", "stompd"],
    atLeast: 0.85,
  },
  {
    title: "2 workers, 100 pairs, against 1 worker",
    figure: "deliveries_per_cpu_second",
    of: ["workers-pairs", "workers2"],
    against: ["workers-pairs", "stompd"],
    atLeast: 0.85,
  },
];
