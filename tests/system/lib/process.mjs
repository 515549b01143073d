// What /proc says of a running daemon. Linux only, as the daemon is.
import fs from "node:fs";

/** utime + stime from a stat file, in clock ticks; the name in it may hold blanks. */
function ticksOf(stat) {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

export function cpuTicks(pid) {
  return ticksOf(fs.readFileSync(`/proc/${pid}/stat`, "utf8"));
}

/** The ticks of each of its threads, by thread id. */
export function threadTicks(pid) {
  const threads = fs.readdirSync(`/proc/${pid}/task`);
  return new Map(threads.map((id) => [id, ticksOf(fs.readFileSync(`/proc/${pid}/task/${id}/stat`, "utf8"))]));
}

export function residentKiB(pid) {
  const [, size] = /^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(size);
}

/** The soft limit of open files. */
export function descriptorLimit(pid) {
  const [, limit] = /^Max open files\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/limits`, "utf8"));
  return Number(limit);
}
