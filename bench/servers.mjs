// Those whom bench/run.mjs measures, by key: each kind has a title and start(), which resolves with a server:
//
//   urls        where it takes WebSockets, of a cluster one for each node
//   pids()      all processes whose CPU and memory are its own
//   mustRun()   throws, with what was logged, when one of them has ended
//   stop()
//
// `isSlow`: fewer rounds are enough, since what it is compared with is so far off.
//
// They listen on free ports of 127.0.0.1, have conf files of their own in fresh folders, and let "guest" in, as
// RabbitMQ does. Give STOMPD_BIN before this is imported.
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { Child } from "../tests/system/lib/child.mjs";
import { Daemon, freePort, PROGRAM } from "../tests/system/lib/daemon.mjs";
import { Redis } from "../tests/system/lib/redis.mjs";
import { RabbitMq } from "./rabbitmq.mjs";

const CEILING = path.join(path.dirname(PROGRAM), "ceiling");
const START_MS = 5000;

const webSocketAt = (port) => `ws://127.0.0.1:${port}/ws`;

function newStompd(conf) {
  return new Daemon({
    server: { node: "bench", workers: "1" },
    "listen plain": null,
    auth: null,
    "user guest": { password: "plain:guest" },
    ...conf,
  });
}

function mustRun(daemon) {
  if (!daemon.isRunning) {
    const { signalCode, exitCode } = daemon.child;
    throw new Error(`stompd has ended with ${signalCode ?? `status ${exitCode}`}:\n${daemon.log}`);
  }
}

/** Starts them in order, and resolves with what stops them; they are stopped at once when one does not start. */
async function startAll(members) {
  const started = [];
  const stop = async () => {
    for (const member of started.splice(0).reverse()) {
      await (member.remove?.() ?? member.stop("SIGINT"));
    }
  };
  try {
    for (const member of members) {
      started.push(member);
      await member.start();
    }
  } catch (error) {
    await stop().catch(() => {}); // the first fault is the one to tell
    throw error;
  }
  return stop;
}

async function startStompd(conf) {
  const daemon = newStompd(conf);
  const stop = await startAll([daemon]);
  return { urls: [webSocketAt(daemon.ports.web)], pids: () => [daemon.pid], mustRun: () => mustRun(daemon), stop };
}

/** Two nodes and the Redis between them, which is theirs. */
async function startNodes() {
  const redis = new Redis({ unix: true });
  const nodes = [];
  const stop = await startAll(
    (function* () {
      yield redis;
      for (const node of ["bench-a", "bench-b"]) {
        nodes.push(newStompd({ server: { node, workers: "1" }, cluster: { redis: redis.address, prefix: "bench:" } }));
        yield nodes.at(-1);
      }
    })(),
  );
  return {
    urls: nodes.map(({ ports }) => webSocketAt(ports.web)),
    pids: () => [...nodes.map(({ pid }) => pid), redis.child.pid],
    mustRun() {
      nodes.forEach(mustRun);
      redis.child.mustRun();
    },
    stop,
  };
}

async function startCeiling() {
  const ports = [await freePort(), await freePort()];
  const child = new Child(CEILING, ports.map(String));
  for (const deadline = Date.now() + START_MS; !child.log.includes("ready"); await sleep(10)) {
    child.mustRun();
    if (Date.now() > deadline) {
      throw new Error(`${CEILING} does not get ready:\n${child.log}`);
    }
  }
  return {
    urls: [webSocketAt(ports[0])],
    pids: () => [child.pid],
    mustRun: () => child.mustRun(),
    stop: () => child.end(),
  };
}

async function startBrokers(count) {
  const first = new RabbitMq();
  const brokers = count === 1 ? [first] : [first, new RabbitMq({ joins: first })];
  const stop = await startAll(brokers);
  return {
    urls: brokers.map(({ port }) => webSocketAt(port)),
    pids: () => brokers.flatMap(({ pids }) => pids),
    mustRun: () => brokers.forEach((broker) => broker.mustRun()),
    stop,
  };
}

export const KINDS = {
  stompd: { title: "stompd", start: () => startStompd() },
  workers2: { title: "stompd, 2 workers", start: () => startStompd({ server: { node: "bench", workers: "2" } }) },
  nodes: { title: "stompd, 2 nodes", start: startNodes },
  ceiling: { title: "ceiling", start: startCeiling },
  rabbitmq: { title: "RabbitMQ", isSlow: true, start: () => startBrokers(1) },
  brokers: { title: "RabbitMQ, 2 nodes", isSlow: true, start: () => startBrokers(2) },
};
