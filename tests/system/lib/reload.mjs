// A running daemon's conf file, changed and read again.
import fs from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { writeConf } from "./daemon.mjs";
import { PATIENCE_MS } from "./session.mjs";

const OUTCOME = /stompd\.conf is in force as it is now|so nothing has changed/;

const fileOf = (daemon) => path.join(daemon.folder, "stompd.conf");

async function readConf(daemon) {
  const sections = {};
  let keys;
  for (const line of (await fs.readFile(fileOf(daemon), "utf8")).split("\n")) {
    const [, title, key, value] = /^\[(.*)\]$|^(.+?) = (.*)$/.exec(line) ?? [];
    if (title !== undefined) {
      keys = sections[title] = {};
    } else if (key !== undefined) {
      keys[key] = value;
    }
  }
  return sections;
}

/** Changes sections and keys of the file; what is null is taken away. */
export async function changeConf(daemon, changes) {
  const sections = await readConf(daemon);
  for (const [section, keys] of Object.entries(changes)) {
    sections[section] = keys === null ? null : { ...sections[section], ...keys };
  }
  await fs.writeFile(fileOf(daemon), writeConf(sections));
}

/** Resolves with what the daemon logs of it, once it is done: new connections meet the new conf from then on. */
export async function reload(daemon) {
  const before = daemon.log.length;
  const deadline = Date.now() + PATIENCE_MS;
  daemon.kill("SIGHUP");
  while (!OUTCOME.test(daemon.log.slice(before))) {
    if (!daemon.isRunning || Date.now() > deadline) {
      throw new Error(`the conf is not read again:\n${daemon.log.slice(before)}`);
    }
    await sleep(5);
  }
  return daemon.log.slice(before);
}

export async function changeAndReload(daemon, changes) {
  await changeConf(daemon, changes);
  return reload(daemon);
}
