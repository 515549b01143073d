// What figures depend on and do not show: the machine, and the versions of all that took part.
import { execFile } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

export function hardLimitOfOpenFiles() {
  const [, limit] = /^Max open files\s+\d+\s+(\d+)/m.exec(fs.readFileSync("/proc/self/limits", "utf8"));
  return Number(limit);
}

function readOr(file, otherwise) {
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : otherwise;
}

export function describeMachine() {
  const [, system] = /^PRETTY_NAME="(.*)"/m.exec(readOr("/etc/os-release", "")) ?? [];
  return {
    cpu: os.cpus()[0].model,
    cores: os.cpus().length,
    isVirtual: / hypervisor /.test(readOr("/proc/cpuinfo", "")),
    memoryBytes: os.totalmem(),
    kernel: os.release().split(".", 2).join("."),
    system: system ?? os.type(),
    openFiles: hardLimitOfOpenFiles(),
  };
}

/** How many cores are in use, by anyone, over that time. */
export async function coresInUse(milliseconds) {
  const sum = (pick) => os.cpus().reduce((all, { times }) => all + pick(times), 0);
  const busy = ({ user, nice, sys, irq }) => user + nice + sys + irq;
  const whole = (times) => busy(times) + times.idle;
  const before = [sum(busy), sum(whole)];
  await sleep(milliseconds);
  return ((sum(busy) - before[0]) / (sum(whole) - before[1])) * os.cpus().length;
}

/** The first line that a command prints, or of it what the pattern picks; null: it can't be had. */
async function ask(pattern, program, ...args) {
  try {
    const { stdout } = await run(program, args);
    return pattern.exec(stdout.split("\n")[0])?.[1] ?? null;
  } catch {
    return null;
  }
}

/** As the build was configured. */
async function compilerOf(build) {
  const [, compiler] = /^CMAKE_C_COMPILER:[^=]*=(.*)$/m.exec(readOr(path.join(build, "CMakeCache.txt"), "")) ?? [];
  const [, type] = /^CMAKE_BUILD_TYPE:[^=]*=(.*)$/m.exec(readOr(path.join(build, "CMakeCache.txt"), "")) ?? [];
  const version = compiler && (await ask(/(.*)/, compiler, "--version"));
  return version ? `${version}, ${type}` : null;
}

function erlang() {
  const releases = "/usr/lib/erlang/releases";
  const names = fs.existsSync(releases) ? fs.readdirSync(releases) : [];
  const files = names.map((name) => path.join(releases, name, "OTP_VERSION")).filter((file) => fs.existsSync(file));
  return files.length > 0 ? fs.readFileSync(files.at(-1), "utf8").trim() : null;
}

function rabbitmq() {
  const folder = "/usr/lib/rabbitmq/lib";
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  return names.map((name) => /^rabbitmq_server-(.*)$/.exec(name)?.[1]).find(Boolean) ?? null;
}

export async function describeVersions(build) {
  return {
    stompd: await ask(/stompd (.*)/, path.join(build, "stompd"), "-V"),
    commit: await ask(/(.*)/, "git", "describe", "--always", "--dirty"),
    compiler: await compilerOf(build),
    libwebsockets: await ask(/([\d.]+)/, "pkg-config", "--modversion", "libwebsockets"),
    redis: await ask(/v=(\S+)/, "redis-server", "--version"),
    rabbitmq: rabbitmq(),
    erlang: erlang(),
  };
}
