// A RabbitMQ of the benchmark's own, as Debian ships it, with STOMP over WebSocket: a node, or a cluster of two, with
// ports, epmd and cookie of its own, and its data in a fresh folder. It runs as whoever runs this, beside any other
// RabbitMQ.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { Child } from "../tests/system/lib/child.mjs";
import { answers, freePort } from "../tests/system/lib/daemon.mjs";

// The one in /usr/sbin changes to another user, with a fixed folder.
const PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const START_MS = 60_000;

export class RabbitMq {
  #first;

  /** `joins`: the node, already started, whose cluster this one becomes a part of. */
  constructor({ joins = null } = {}) {
    this.#first = joins;
    this.name = joins ? "stompd-bench-b@localhost" : "stompd-bench@localhost";
  }

  /** Resolves when it takes clients. */
  async start() {
    if (!fs.existsSync(PROGRAM)) {
      throw new Error(`RabbitMQ is not installed: there is no ${PROGRAM} (Debian's package rabbitmq-server)`);
    }
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), "stompd-rabbitmq-"));
    process.once("exit", () => this.#removeFolder());
    this.port = await freePort();
    await this.#startEpmd();
    this.child = new Child(PROGRAM, [], { env: await this.#environment(), detached: true });
    await this.#untilAnswering(this.port, this.child);
    return this;
  }

  /** Process ids of all that works for it: Erlang's machine, its helpers, and epmd, which belongs to the first node. */
  get pids() {
    return [...withChildren(this.child.pid), ...(this.epmd ? [this.epmd.pid] : [])];
  }

  /** Fails when it has ended by itself. */
  mustRun() {
    this.child.mustRun();
  }

  async stop() {
    for (const child of [this.child, this.epmd]) {
      await child?.end();
    }
    this.#removeFolder();
  }

  #removeFolder() {
    if (this.folder) {
      fs.rmSync(this.folder, { recursive: true, force: true });
    }
  }

  async #startEpmd() {
    this.epmdPort = this.#first?.epmdPort ?? (await freePort());
    if (!this.#first) {
      this.epmd = new Child("epmd", ["-port", String(this.epmdPort), "-address", "127.0.0.1"]);
      await this.#untilAnswering(this.epmdPort, this.epmd);
    }
  }

  /** Writes its conf files, and answers the variables that lead to them. */
  async #environment() {
    const inFolder = (name) => path.join(this.folder, name);
    const conf = ["listeners.tcp = none", "stomp.listeners.tcp = none"];
    conf.push("web_stomp.tcp.ip = 127.0.0.1", `web_stomp.tcp.port = ${this.port}`);
    if (this.#first) {
      conf.push("cluster_formation.peer_discovery_backend = classic_config");
      conf.push(`cluster_formation.classic_config.nodes.1 = ${this.#first.name}`);
      conf.push(`cluster_formation.classic_config.nodes.2 = ${this.name}`);
    }
    fs.writeFileSync(inFolder("rabbitmq.conf"), conf.join("\n") + "\n");
    fs.writeFileSync(inFolder("enabled_plugins"), "[rabbitmq_stomp,rabbitmq_web_stomp].\n");
    return {
      PATH: process.env.PATH,
      HOME: (this.#first ?? this).folder, // where Erlang makes the cookie
      ERL_EPMD_ADDRESS: "127.0.0.1",
      ERL_EPMD_PORT: String(this.epmdPort),
      RABBITMQ_NODENAME: this.name,
      RABBITMQ_CONF_ENV_FILE: inFolder("none"), // not the machine's
      RABBITMQ_CONFIG_FILE: inFolder("rabbitmq.conf"),
      RABBITMQ_ADVANCED_CONFIG_FILE: inFolder("none.config"),
      RABBITMQ_ENABLED_PLUGINS_FILE: inFolder("enabled_plugins"),
      RABBITMQ_MNESIA_BASE: inFolder("mnesia"),
      RABBITMQ_LOG_BASE: inFolder("log"),
      RABBITMQ_PID_FILE: inFolder("pid"),
      RABBITMQ_DIST_PORT: String(await freePort()),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
      RUNNING_UNDER_SYSTEMD: "true", // its start script becomes Erlang's machine, with our child's pid
    };
  }

  async #untilAnswering(port, child) {
    const deadline = Date.now() + START_MS;
    while (!(await answers(port))) {
      child.mustRun();
      if (Date.now() > deadline) {
        throw new Error(`${child.name} does not get ready:\n${child.log}`);
      }
      await sleep(100);
    }
  }
}

function withChildren(pid) {
  const threads = fs.readdirSync(`/proc/${pid}/task`);
  const files = threads.map((id) => `/proc/${pid}/task/${id}/children`);
  const children = files.flatMap((file) => fs.readFileSync(file, "utf8").match(/\d+/g) ?? []);
  return [pid, ...children.flatMap((child) => withChildren(Number(child)))];
}
