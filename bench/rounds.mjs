// Takes servers through works in turns, by stomp-bench, and collects what it writes.
import { execFile } from "node:child_process";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { endWithUs } from "../tests/system/lib/child.mjs";
import { faultsOf, spreads } from "./figures.mjs";

const LOGIN = ["--login", "guest", "--passcode", "guest", "--host", "/"];
const AT_MOST_MS = 120_000;
const END_IS_SEEN_MS = 200; // stomp-bench may see a server's end before we do

/** What stomp-bench is to do, but for where and for whom. */
function workArguments({ args, timed = true }, { seconds, warmUpSeconds }) {
  const time = timed ? ["--duration", seconds, "--warm-up", warmUpSeconds] : [];
  return [...args, ...time, ...LOGIN].map(String);
}

function serverArguments({ targets = ([first]) => ["--target", first] }, server) {
  return [...targets(server.urls), ...server.pids().flatMap((pid) => ["--pid", String(pid)])];
}

/** Resolves with { code, stdout, stderr }. */
function run(program, args) {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: AT_MOST_MS, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      const why = error?.killed ? `nothing came of it in ${AT_MOST_MS / 1000} s` : error?.message;
      resolve({ code: error ? (error.code ?? -1) : 0, stdout, stderr: stderr.trim() || why });
    });
    endWithUs(child);
  });
}

export class Rounds {
  measurements = []; // { work, server, title, arguments, command, rounds, figures }
  faults = []; // lines

  /**
   * `plan`: { rounds, slowRounds, ownRounds, seconds, warmUpSeconds } of a measurement (ownRounds: works may have their
   * own number), and inAllSeconds, of which each group has its share: no further round begins when that is over. `say`
   * is called with each line worth showing at once.
   */
  constructor({ kinds, plan, build, say }) {
    Object.assign(this, { kinds, plan, say, program: path.join(build, "stomp-bench"), running: new Set() });
  }

  /** `group.works` with the `servers` that are to do each. Throws when a server does not start, or ends. */
  async play(group) {
    const deadline = Date.now() + group.share * this.plan.inAllSeconds * 1000;
    const keys = group.fresh ? [] : [...new Set(group.works.flatMap(({ servers }) => servers))];
    const servers = {};
    for (const key of keys) {
      servers[key] = await this.#start(key);
    }
    const rounds = Math.max(...group.works.flatMap((work) => work.servers.map((key) => this.#roundsOf(work, key))));
    for (let round = 0; round < rounds; round++) {
      if (round > 0 && Date.now() > deadline) {
        this.say(`\nthe time is up: ${round} of ${rounds} rounds`);
        break;
      }
      await this.#playRound(group, servers, round);
    }
    await this.stop();
  }

  /** Ends all that it has started. */
  async stop() {
    const servers = [...this.running];
    this.running.clear();
    const ends = await Promise.allSettled(servers.map((server) => server.stop()));
    const bad = ends.find(({ status }) => status === "rejected");
    if (bad) {
      throw bad.reason;
    }
  }

  measurementOf(work, server) {
    return this.measurements.find((one) => one.work === work && one.server === server);
  }

  async #start(key) {
    const { title, start } = this.kinds[key];
    try {
      const server = { key, title, ...(await start()) };
      this.running.add(server);
      return server;
    } catch (error) {
      throw new Error(`${title} does not start: ${error.message}`);
    }
  }

  /** Another one is the first in each round. */
  async #playRound(group, servers, round) {
    for (const work of group.works) {
      const keys = work.servers.filter((key) => round < this.#roundsOf(work, key));
      for (const n of keys.keys()) {
        const key = keys[(n + round) % keys.length];
        const server = servers[key] ?? (await this.#start(key));
        await this.#measure(work, server);
        if (group.fresh) {
          await this.stop();
        }
      }
    }
  }

  #roundsOf({ rounds = {} }, key) {
    const own = this.plan.ownRounds ? rounds[key] : undefined;
    return own ?? (this.kinds[key].isSlow ? this.plan.slowRounds : this.plan.rounds);
  }

  /** A round in which something was lost is told and left out. */
  async #measure(work, server) {
    const fixed = workArguments(work, this.plan);
    const args = [...fixed, ...serverArguments(work, server), "--json", "-"];
    const { code, stdout, stderr } = await run(this.program, args);
    await sleep(code === 0 ? 0 : END_IS_SEEN_MS);
    server.mustRun();
    if (!stdout.startsWith("{")) {
      throw new Error(`${server.title}, ${work.title}: ${stderr}`);
    }
    const [result] = JSON.parse(stdout).results;
    const faults = faultsOf(result, work.forgives?.[server.key]) || (code === 0 ? "" : stderr);
    if (faults) {
      this.faults.push(`${server.title}, ${work.title}: ${faults}`);
      this.say(`FAULT: ${this.faults.at(-1)}`);
    }
    this.#keep(work, server, { args, fixed, result: faults ? null : result });
  }

  #keep(work, server, { args, fixed, result }) {
    let one = this.measurementOf(work.name, server.key);
    if (!one) {
      const what = { work: work.name, server: server.key, title: server.title };
      one = { ...what, arguments: fixed, command: ["stomp-bench", ...args].join(" "), rounds: [] };
      this.measurements.push(one);
    }
    one.rounds.push(...(result ? [result] : []));
    one.figures = spreads(one.rounds);
  }
}
