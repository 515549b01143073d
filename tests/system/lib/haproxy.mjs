// A real HAProxy with the conf file that is shipped, conf/haproxy.cfg: only the addresses are others. So what tests say
// of it holds for those who run it.
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";

import { Child } from "./child.mjs";
import { answers, freePort } from "./daemon.mjs";
import { eventually } from "./eventually.mjs";
import { request } from "./http.mjs";

const SHIPPED = path.resolve("conf/haproxy.cfg");

/** It needs no root: where the tests have root, HAProxy does without. */
const NOBODY = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};

/** The frontends, and which port of a daemon the backend of that name leads to. */
const PORTS = { web: "web", stomp: "plain" };

export class HaProxy {
  host = "127.0.0.1";
  ports = {}; // of its frontends; `web` and `plain` as a Daemon's, so that it can be connected to like one
  #daemons;
  #change;

  /** `daemons`: by the name of their node. `change`: of the conf file's text, before addresses are put in. */
  constructor(daemons, { change = (text) => text } = {}) {
    this.#daemons = daemons;
    this.#change = change;
  }

  async start() {
    for (const name of ["web", "plain", "stats"]) {
      this.ports[name] ??= await freePort();
    }
    this.folder = await fs.mkdtemp(path.join(os.tmpdir(), "stompd-haproxy-"));
    const file = path.join(this.folder, "haproxy.cfg");
    await fs.chmod(this.folder, 0o755);
    await fs.writeFile(file, this.#withAddresses(this.#change(await fs.readFile(SHIPPED, "utf8"))));
    this.child = new Child("haproxy", ["-db", "-f", file], NOBODY);
    await eventually("HAProxy to start", () => {
      this.child.mustRun();
      return answers(this.ports.stats);
    });
    await this.untilServers("UP");
    return this;
  }

  async stop() {
    await this.child.end("SIGTERM");
    await fs.rm(this.folder, { recursive: true, force: true });
  }

  /** What the statistics say of a node: { status, scur, stot, … } by the names that HAProxy has for them. */
  async server(node, backend = "web") {
    const { body } = await request(this.ports.stats, { path: "/;csv" });
    const [head, ...lines] = body.replace(/^# /, "").trim().split("\n");
    const names = head.split(",");
    const rows = lines.map((line) => Object.fromEntries(line.split(",").map((value, i) => [names[i], value])));
    return rows.find(({ pxname, svname }) => pxname === backend && svname === node);
  }

  /** Waits until HAProxy has this status for these nodes: UP or DOWN. */
  async untilServers(status, nodes = Object.keys(this.#daemons)) {
    for (const node of nodes) {
      await eventually(`HAProxy to have ${node} as ${status}`, async () => {
        const { status: found, check_status: check } = await this.server(node);
        return found === status && check !== "INI";
      });
    }
  }

  /** Every `bind`, and one `server` line a daemon; the options behind an address stay. */
  #withAddresses(text) {
    let section;
    const lines = text.split("\n").flatMap((line) => {
      section = /^(?:frontend|backend) (\S+)/.exec(line)?.[1] ?? section;
      if (/^ +bind /.test(line)) {
        return line.replace(/bind \S+/, `bind 127.0.0.1:${this.ports[PORTS[section] ?? section]}`);
      }
      return /^ +server /.test(line) ? this.#servers(section, line) : line;
    });
    return lines.join("\n");
  }

  /** In place of the line of node-a; those of other nodes are left out. */
  #servers(backend, line) {
    const [, options] = /^ +server node-a \S+(.*)$/.exec(line) ?? [];
    if (options === undefined) {
      return [];
    }
    return Object.entries(this.#daemons).map(([node, daemon]) => {
      const address = `${daemon.host}:${daemon.ports[PORTS[backend]]}`;
      return `    server ${node} ${address}${options.replace("node-a", node)}`;
    });
  }
}
