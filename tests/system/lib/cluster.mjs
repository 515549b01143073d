// Nodes that share a Redis: daemons named node-a, node-b, …, each with an admin port. They can be killed and started
// again under their names.
import assert from "node:assert/strict";
import { after, before } from "node:test";

import { Daemon } from "./daemon.mjs";
import { eventually } from "./eventually.mjs";
import { request } from "./http.mjs";
import { Redis } from "./redis.mjs";

/** Short, so that tests of dead nodes are. */
export const NODE_TIMEOUT_MS = 2000;

/** What the admin port answers to GET; JSON is parsed. A node that is gone has status 0. */
export async function ask(daemon, path) {
  const failed = ({ message }) => ({ status: 0, headers: {}, body: message });
  const { status, headers, body } = await request(daemon.ports.admin, { path }).catch(failed);
  const isJson = /json/.test(headers["content-type"] ?? "");
  return { status, body: isJson ? JSON.parse(body) : body };
}

/** What /api/v1/… says; anything but 200 fails. */
export async function askApi(daemon, path) {
  const { status, body } = await ask(daemon, `/api/v1/${path}`);
  assert.equal(status, 200, `/api/v1/${path}: ${JSON.stringify(body)}`);
  return body;
}

/** All users that the node knows of, on any node: { name: count of sessions }. */
export async function onlineUsers(daemon) {
  const found = {};
  for (let page = "users"; page !== null; ) {
    const { users, next } = await askApi(daemon, page);
    users.forEach(({ user, sessions }) => (found[user] = sessions));
    page = next?.replace("/api/v1/", "") ?? null;
  }
  return found;
}

/** The ids of a user's sessions, on all nodes. */
export async function sessionsOf(daemon, user) {
  const { sessions } = await askApi(daemon, `users/${encodeURIComponent(user)}`);
  return sessions.map(({ id }) => id);
}

/** The names of all nodes that the node takes for alive. */
export async function nodesAlive(daemon) {
  const nodes = await askApi(daemon, "nodes");
  return nodes
    .filter(({ state }) => state === "alive")
    .map(({ node }) => node)
    .sort();
}

/** A metric's value, added up over its labels; 0 when it is not there. `label`: text that the line must hold. */
export async function metric(daemon, name, label = "") {
  const { status, body } = await ask(daemon, "/metrics");
  assert.equal(status, 200);
  const lines = body.split("\n").filter((line) => /^[a-z_]+(\{| )/.test(line) && line.includes(label));
  const values = lines.filter((line) => /^[a-z_]+/.exec(line)[0] === name).map((line) => Number(/\S+$/.exec(line)[0]));
  return values.reduce((sum, value) => sum + value, 0);
}

/** Waits until the node has taken its place in the cluster. */
export async function untilReady(daemon) {
  await eventually(`${daemon.node} to be ready`, async () => {
    assert.ok(daemon.isRunning, `${daemon.node} has ended:\n${daemon.log}`);
    return (await ask(daemon, "/readyz")).status === 200;
  });
}

/** A node of the cluster of this Redis, not started. `options` are a Daemon's. */
export function newNode(name, redis, conf = {}, options = {}) {
  const { server, cluster, admin = {}, ...others } = conf;
  const daemon = new Daemon(
    {
      server: { node: name, ...server },
      cluster: { redis: redis.address, "node-timeout": `${NODE_TIMEOUT_MS}ms`, ...cluster },
      admin,
      ...others,
    },
    options,
  );
  daemon.node = name;
  return daemon;
}

export class Cluster {
  nodes = []; // Daemons, in the order of their names
  #size;
  #conf;

  /** `redis`: one of the test's own, which start() then leaves alone. `conf`: what all nodes have in common. */
  constructor({ size = 2, redis = null, conf = {} } = {}) {
    this.#size = size;
    this.#conf = conf;
    this.ownsRedis = redis === null;
    this.redis = redis ?? new Redis();
  }

  async start() {
    if (this.ownsRedis) {
      await this.redis.start();
    }
    const names = Array.from({ length: this.#size }, (_, i) => `node-${"abcdefgh"[i]}`);
    this.nodes = names.map((name) => newNode(name, this.redis, this.#conf));
    const starts = await Promise.allSettled(this.nodes.map((node) => this.startNode(node)));
    const failed = starts.find(({ status }) => status === "rejected");
    if (failed) {
      await this.stop().catch(() => {}); // why it did not start says more
      throw failed.reason;
    }
    return this;
  }

  /** Also again, under the same name and on the same ports. */
  async startNode(node) {
    await node.start();
    await untilReady(node);
  }

  /** By its node's name, for HaProxy. */
  get byName() {
    return Object.fromEntries(this.nodes.map((node) => [node.node, node]));
  }

  /** Ends all nodes that run, and checks that they end well. */
  async stop() {
    const ends = this.nodes.filter((node) => node.child !== undefined && node.isRunning).map((node) => node.stop());
    const results = await Promise.allSettled(ends);
    if (this.ownsRedis) {
      await this.redis.remove();
    }
    const failed = results.find(({ status }) => status === "rejected");
    if (failed) {
      throw failed.reason;
    }
  }
}

/** A cluster that is there while the tests of the file, or of the surrounding describe(), run; see useDaemon(). */
export function useCluster(options, prepare = () => {}) {
  const cluster = new Cluster(options);
  before(async () => {
    await cluster.start();
    await prepare(cluster);
  });
  after(() => cluster.stop());
  return cluster;
}
