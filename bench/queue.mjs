// What a message costs that goes through a queue: sent with a receipt, stored, delivered, acknowledged. 10 producers
// and 10 consumers, STOMP over WebSocket, persistent messages of 128 bytes. Rounds of the same work take turns:
// RabbitMQ's classic durable queue, stompd with its queues in memory, stompd on a Redis with an AOF (appendfsync
// everysec), and bare Redis with the same AOF, that as many clients with the same window give XADD, XREADGROUP, XACK
// and XDEL. The medians are printed, and a message that is lost, or a budget that is not kept, makes it fail:
//
//   in memory    messages for a second of the servers' CPU, against RabbitMQ: 3 times at least
//   on Redis     the same, with Redis' CPU counted as stompd's: 3 times at least
//   bare Redis   messages a second, stompd on Redis against it: 0.5 times at least
//
//   node bench/queue.mjs [--rounds 5] [--seconds 4] [--workers 1] [--build build] [--json FILE]
import { execFile } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import { parseArgs, promisify } from "node:util";

import { spread } from "./figures.mjs";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "4" },
    workers: { type: "string", default: "1" },
    build: { type: "string", default: "build" },
    json: { type: "string" },
  },
});
process.env.STOMPD_BIN ??= path.resolve(options.build, "stompd");
const { Daemon } = await import("../tests/system/lib/daemon.mjs");
const { Redis } = await import("../tests/system/lib/redis.mjs");
const { RabbitMq } = await import("./rabbitmq.mjs");

const WORK = { producers: 10, consumers: 10, window: 32, prefetch: 100 };
const WARM_UP_SECONDS = 1;
const AGAINST_RABBITMQ_AT_LEAST = 3;
const AGAINST_BARE_REDIS_AT_LEAST = 0.5;

const run = promisify(execFile);

// ---- those who are measured: { name, protocol, target, pids(), stop() }

function startRedis() {
  return new Redis({ unix: true, config: { appendonly: "yes", appendfsync: "everysec" } }).start();
}

function startStompd(conf) {
  const own = { server: { node: "bench", workers: options.workers }, "listen plain": null };
  return new Daemon({ ...own, ...conf, "user guest": { password: "plain:guest" } }).start();
}

async function startInMemory() {
  const daemon = await startStompd();
  return {
    name: "stompd in memory",
    protocol: "stomp",
    target: daemon.ports.web,
    pids: () => [daemon.pid],
    stop: () => daemon.stop(),
  };
}

async function startOnRedis() {
  const redis = await startRedis();
  const daemon = await startStompd({ cluster: { redis: redis.address, prefix: "bench:" } });
  return {
    name: "stompd on Redis",
    protocol: "stomp",
    target: daemon.ports.web,
    pids: () => [daemon.pid, redis.child.pid],
    stop: () => daemon.stop().finally(() => redis.remove()),
  };
}

async function startRabbitMq() {
  const broker = await new RabbitMq().start();
  return {
    name: "RabbitMQ",
    protocol: "stomp",
    target: broker.port,
    pids: () => broker.pids,
    stop: () => broker.stop(),
  };
}

async function startBareRedis() {
  const redis = await startRedis();
  return {
    name: "bare Redis",
    protocol: "redis",
    target: redis.address.replace("unix:", ""),
    pids: () => [redis.child.pid],
    stop: () => redis.remove(),
  };
}

// ---- rounds

async function play(server, seconds) {
  const { producers, consumers, window, prefetch } = WORK;
  const args = [server.protocol, server.target, seconds, producers, consumers, window, prefetch, ...server.pids()];
  try {
    const { stdout } = await run(path.resolve(options.build, "queue"), args.map(String));
    return JSON.parse(stdout);
  } catch (error) {
    throw new Error(`${server.name}: ${error.stderr || error.message}`);
  }
}

/** Answers the figures of each round, by server. */
async function measure(servers) {
  const rounds = servers.map(() => []);
  for (const server of servers) {
    await play(server, WARM_UP_SECONDS);
  }
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const [n, server] of servers.entries()) {
      rounds[n].push(await play(server, options.seconds));
    }
  }
  return rounds;
}

function summarize({ name }, rounds) {
  return {
    name,
    rate: spread(rounds.map(({ messages, seconds }) => messages / seconds)), // messages a second
    perCpu: spread(rounds.map(({ messages, serverCpu }) => messages / serverCpu)), // for a second of the servers' CPU
    servers: spread(rounds.map(({ serverCpu, seconds }) => serverCpu / seconds)), // cores in use
    clients: spread(rounds.map(({ clientCpu, seconds }) => clientCpu / seconds)),
    duplicates: rounds.reduce((sum, { duplicates }) => sum + duplicates, 0),
    rounds,
  };
}

function compare([rabbitmq, memory, redis, bare]) {
  const ratio = (figure, a, b) => a[figure].median / b[figure].median;
  return [
    {
      name: "stompd in memory to RabbitMQ, for a CPU second",
      value: ratio("perCpu", memory, rabbitmq),
      atLeast: AGAINST_RABBITMQ_AT_LEAST,
    },
    {
      name: "stompd on Redis to RabbitMQ, for a CPU second",
      value: ratio("perCpu", redis, rabbitmq),
      atLeast: AGAINST_RABBITMQ_AT_LEAST,
    },
    {
      name: "stompd on Redis to bare Redis, by rate",
      value: ratio("rate", redis, bare),
      atLeast: AGAINST_BARE_REDIS_AT_LEAST,
    },
    { name: "the same for a CPU second (no budget)", value: ratio("perCpu", redis, bare) },
  ];
}

// ---- what is printed

function describe({ median, lowest, highest }) {
  const [middle, low, high] = [median, lowest, highest].map((value) => String(Math.round(value)));
  return `${middle.padStart(6)} ${`(${low} to ${high})`.padEnd(18)}`;
}

function report(results, ratios) {
  const { producers, consumers, window, prefetch } = WORK;
  console.log(
    `${producers} producers (window ${window}) to ${consumers} consumers (prefetch ${prefetch}), persistent 128-byte ` +
      `messages with receipt,\nWebSocket, ${options.workers} worker(s); medians of ${options.rounds} rounds of ` +
      `${options.seconds} s, with lowest and highest:`,
  );
  const columns = ["".padEnd(18), "messages/s".padEnd(28), "for a server CPU second".padEnd(28)];
  console.log(`\n${columns.join("")}cores: servers, clients`);
  for (const { name, rate, perCpu, servers, clients, duplicates } of results) {
    const cores = `${servers.median.toFixed(2)}, ${clients.median.toFixed(2)}`;
    const again = duplicates > 0 ? `  ${duplicates} delivered twice` : "";
    console.log(`${name.padEnd(18)}${describe(rate).padEnd(28)}${describe(perCpu).padEnd(28)}${cores}${again}`);
  }
  console.log("");
  for (const { name, value, atLeast } of ratios) {
    const budget = atLeast === undefined ? "" : `, at least ${atLeast}`;
    console.log(`${name.padEnd(50)}${value.toFixed(3)}${budget}`);
  }
}

function isKept({ value, atLeast }) {
  return atLeast === undefined || value >= atLeast;
}

async function main(running) {
  for (const start of [startRabbitMq, startInMemory, startOnRedis, startBareRedis]) {
    running.push(await start());
  }
  const rounds = await measure(running);
  const results = running.map((server, n) => summarize(server, rounds[n]));
  const ratios = compare(results);
  report(results, ratios);
  if (options.json) {
    await fs.writeFile(options.json, JSON.stringify({ ...WORK, ...options, results, ratios }, null, 2) + "\n");
  }
  if (!ratios.every(isKept)) {
    throw new Error("a budget is not kept");
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => process.exit(1)); // those who were started end with us
}
const running = [];
try {
  await main(running);
} catch (error) {
  console.error(`bench/queue: ${error.message}`);
  process.exitCode = 1;
} finally {
  for (const server of running) {
    await server.stop();
  }
}
