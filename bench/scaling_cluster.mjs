// The nodes and the Redis that bench/scaling.mjs measures, all on this machine, and what they have used: nanoseconds of
// CPU by thread, from the scheduler, memory, and what each counts itself.
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { Daemon } from "../tests/system/lib/daemon.mjs";
import { request } from "../tests/system/lib/http.mjs";
import { residentKiB } from "../tests/system/lib/process.mjs";
import { Redis } from "../tests/system/lib/redis.mjs";

/** What a thread has used: microseconds on a processor, and how often it has waited for something and was woken. */
function lookAtThread(pid, thread) {
  const folder = `/proc/${pid}/task/${thread}`;
  const [nanoseconds] = fs.readFileSync(`${folder}/schedstat`, "utf8").split(" ");
  const status = fs.readFileSync(`${folder}/status`, "utf8");
  const [, wakes] = /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status);
  return { cpu: Number(nanoseconds) / 1000, wakes: Number(wakes) };
}

const sum = (parts) => parts.reduce((all, part) => ({ cpu: all.cpu + part.cpu, wakes: all.wakes + part.wakes }));

/** The main thread, and all others together. */
function lookAtThreads(pid) {
  const others = fs.readdirSync(`/proc/${pid}/task`).filter((thread) => Number(thread) !== pid);
  const none = { cpu: 0, wakes: 0 };
  return { main: lookAtThread(pid, pid), others: sum([none, ...others.map((thread) => lookAtThread(pid, thread))]) };
}

const COUNTERS = {
  sends: "stompd_publications_total",
  deliveries: "stompd_deliveries_total",
  writes: "stompd_writes_total",
  turns: "stompd_loop_turns_total",
  published: "stompd_cluster_publications_sent_total",
  taken: "stompd_cluster_publications_received_total",
  echoes: "stompd_cluster_publications_repeated_total",
  opened: "stompd_sessions_opened_total",
  sentBytes: "stompd_sent_bytes_total",
  sessions: "stompd_sessions",
};

/** A metric's value, added up over its labels. */
function sumOf(text, name) {
  const lines = text.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

async function countersOf(node) {
  const { body } = await request(node.ports.admin, { path: "/metrics" });
  return Object.fromEntries(Object.entries(COUNTERS).map(([name, metric]) => [name, sumOf(body, metric)]));
}

const INFO = {
  inBytes: "total_net_input_bytes",
  outBytes: "total_net_output_bytes",
  commands: "total_commands_processed",
  usedBytes: "used_memory",
};

async function infoOf(redis) {
  const text = await redis.command("INFO");
  const valueOf = (field) => Number(new RegExp(`^${field}:(\\d+)`, "m").exec(text)[1]);
  return Object.fromEntries(Object.entries(INFO).map(([name, field]) => [name, valueOf(field)]));
}

const minus = (now, before) => Object.fromEntries(Object.keys(now).map((key) => [key, now[key] - before[key]]));

export class Cluster {
  /** `conf` is added to each node's. Without Redis there is one node on its own. */
  constructor({ nodes, workers = 1, conf = {}, isAlone = false }) {
    this.count = nodes;
    this.workers = workers;
    this.conf = conf;
    this.isAlone = isAlone;
  }

  async start() {
    const limit = { "client-output-buffer-limit": ["pubsub", "1gb", "1gb", "60"] };
    this.redis = this.isAlone ? null : await new Redis({ config: limit }).start();
    this.nodes = [];
    for (let n = 0; n < this.count; n++) {
      this.nodes.push(await this.#newNode(n).start());
    }
    await Promise.all(this.nodes.map((node) => this.untilReady(node)));
    return this;
  }

  #newNode(n) {
    const { server = {}, cluster = {}, ...others } = this.conf;
    return new Daemon({
      server: { node: `bench-${n}`, workers: String(this.workers), "ping-time": "0", ...server },
      ...(this.isAlone ? {} : { cluster: { redis: this.redis.address, prefix: "bench:", ...cluster } }),
      limits: { connections: "19000", subscriptions: "1000000" },
      "listen plain": null,
      admin: {},
      ...others,
    });
  }

  /** Until /readyz says something that `isIt` takes. */
  async #until(node, isIt) {
    for (let waited = 0; !isIt(await request(node.ports.admin, { path: "/readyz" })); waited += 5) {
      if (waited > 30_000) {
        throw new Error(`a node does not get ready:\n${node.log}`);
      }
      await sleep(5);
    }
  }

  untilReady(node) {
    return this.#until(node, ({ status }) => status === 200);
  }

  /** Until it is connected to Redis, whatever is to be done then. */
  untilLinked(node) {
    return this.#until(node, ({ body }) => !/can't be reached/.test(body));
  }

  /** Microseconds since Redis was started. */
  redisCpu() {
    return lookAtThreads(this.redis.child.pid).main.cpu;
  }

  get ports() {
    return this.nodes.map((node) => node.ports.web);
  }

  /** What the threads have used, and the memory of the nodes. */
  #use() {
    const nodes = this.nodes.map(({ pid }) => ({ ...lookAtThreads(pid), bytes: residentKiB(pid) * 1024 }));
    return { at: performance.now(), nodes, redis: this.redis && lookAtThreads(this.redis.child.pid).main };
  }

  async #counts() {
    const nodes = await Promise.all(this.nodes.map(countersOf));
    return { nodes, redis: this.redis && (await infoOf(this.redis)) };
  }

  /** What has been used and counted until now, for since(). Asking costs the nodes something, which is left out. */
  async begin() {
    const counts = await this.#counts();
    return { counts, use: this.#use() };
  }

  /**
   * What has come since: { seconds, nodes: [{ hub, workers, bytes, counts }], redis: { main,
   * counts } }; but `sessions` is how many there are.
   */
  async since({ counts, use }) {
    const usedNow = this.#use();
    const countedNow = await this.#counts();
    return {
      seconds: (usedNow.at - use.at) / 1000,
      nodes: usedNow.nodes.map(({ main, others, bytes }, n) => ({
        hub: minus(main, use.nodes[n].main),
        workers: minus(others, use.nodes[n].others),
        bytes: bytes - use.nodes[n].bytes,
        counts: { ...minus(countedNow.nodes[n], counts.nodes[n]), sessions: countedNow.nodes[n].sessions },
      })),
      redis: this.redis && { main: minus(usedNow.redis, use.redis), counts: minus(countedNow.redis, counts.redis) },
    };
  }

  async stop() {
    for (const node of this.nodes.filter(({ isRunning }) => isRunning)) {
      await node.stop("SIGINT");
    }
    await this.redis?.remove();
  }
}
