// The part of bench/instructions.mjs that can be tested: reads what callgrind writes, and compares counts with known ones.
// Counts are { SCENARIO: { total, functions: { NAME: count } } }, in instructions for each unit of the scenario.
import path from "node:path";

export const TOLERANCE = 0.05;

const NOTABLE = 0.005; // of a scenario's total: functions below it are not kept
const NAMED = 5; // functions of a scenario that has become dearer

const round = (count) => Math.round(count * 10) / 10;

/** "writer.c:put_header" for ours, "memcpy" for a library's, "(libc.so.6)" where it has no names. */
function functionName(name, file, object) {
  if (name.startsWith("0x")) {
    return `(${path.basename(object)})`;
  }
  const plain = name.replace(/'\d+$/, "").replace(/@.*/, "").replace(/(\.(isra|part|constprop|cold)(\.\d+)?)+$/, "");
  return file.endsWith(".c") && !object.includes(".so") ? `${path.basename(file)}:${plain}` : plain;
}

/**
 * What callgrind has written with --compress-strings=no --compress-pos=no: a function's own lines follow its fn=, and
 * the line after a calls= is what the called one cost.
 */
export function readCallgrind(text, units) {
  const functions = new Map();
  let [object, file, name, total, isCall] = ["", "", "", 0, false];
  for (const line of text.split("\n")) {
    const [, key, value] = /^(\w+)[=:] ?(.*)$/.exec(line) ?? [];
    if (key === "ob") {
      object = value;
    } else if (key === "fl") {
      file = value;
    } else if (key === "fn") {
      name = functionName(value, file, object);
    } else if (key === "summary") {
      total = Number(value);
    } else if (/^\d/.test(line) && !isCall) {
      functions.set(name, (functions.get(name) ?? 0) + Number(line.split(" ")[1]));
    }
    isCall = key === "calls";
  }
  const notable = [...functions].filter(([, count]) => count >= total * NOTABLE).sort(([, a], [, b]) => b - a);
  return {
    total: round(total / units),
    functions: Object.fromEntries(notable.map(([key, count]) => [key, round(count / units)])),
  };
}

/** What has grown by a notable part of the whole, most first: [{ name, before, now }], without a before if none was kept. */
function grown(before, now) {
  const growth = (one) => one.now - (one.before ?? 0);
  return Object.entries(now.functions)
    .map(([name, count]) => ({ name, before: before.functions[name], now: count }))
    .filter((one) => growth(one) >= before.total * NOTABLE)
    .sort((a, b) => growth(b) - growth(a))
    .slice(0, NAMED);
}

function compareOne(name, before, now) {
  if (!before || !now) {
    return { name, before, now, verdict: before ? "gone" : "unknown", isKept: false };
  }
  const change = now.total / before.total - 1;
  if (now.total > before.total * (1 + TOLERANCE)) {
    return { name, before, now, change, verdict: "dearer", isKept: false, grown: grown(before, now) };
  }
  return { name, before, now, change, verdict: now.total < before.total * (1 - TOLERANCE) ? "cheaper" : "as before", isKept: true };
}

/** One entry a scenario: { name, before, now, change, verdict, isKept, grown }. */
export function compare(before, now) {
  const names = new Set([...Object.keys(now), ...Object.keys(before)]);
  return [...names].map((name) => compareOne(name, before[name], now[name]));
}
