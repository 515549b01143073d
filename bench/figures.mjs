// What becomes of the figures of several rounds: medians with lowest and highest, and budgets that are kept or not.

/** The median (of an even number of values: the mean of those in the middle), the lowest and the highest. */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return { median: (middle[0] + middle[1]) / 2, lowest: sorted[0], highest: sorted.at(-1) };
}

/** The spread of each figure that all rounds know: rounds are objects as stomp-bench writes them. */
export function spreads(rounds) {
  const names = Object.keys(rounds[0] ?? {});
  const known = names.filter((name) => rounds.every((round) => Number.isFinite(round[name])));
  return Object.fromEntries(known.map((name) => [name, spread(rounds.map((round) => round[name]))]));
}

// What must be 0 in any run.
const FAULTS = {
  lost: "lost",
  duplicates: "delivered twice",
  reordered: "out of order",
  strays: "at the wrong place",
  damaged: "damaged",
  closed_connections: "connections closed by the server",
  failed_clients: "clients that were not let through",
};

/** "3 lost, 1 out of order", or "" when all is as it should be, but for those that are forgiven. */
export function faultsOf(round, forgiven = []) {
  const found = Object.keys(FAULTS).filter((name) => round[name] > 0 && !forgiven.includes(name));
  return found.map((name) => `${round[name]} ${FAULTS[name]}`).join(", ");
}

/**
 * A budget is { title, figure, of: [work, server], against: [work, server], atLeast or atMost }, for the ratio of two
 * medians, or without `against` for a median itself. Adds `value`, null when one of them was not measured, `isKept`, and
 * for one with `ceiling: [work, server]` `ceilingValue`: the ratio that this one has.
 */
export function judge(budget, figuresOf) {
  const medianOf = (key) => (key ? figuresOf(...key)?.[budget.figure]?.median : undefined);
  const base = budget.against ? medianOf(budget.against) : 1;
  const value = medianOf(budget.of) / base;
  const { atLeast = -Infinity, atMost = Infinity } = budget;
  const known = (number) => (Number.isFinite(number) ? number : null);
  return {
    ...budget,
    value: known(value),
    ceilingValue: known(medianOf(budget.ceiling) / base),
    isKept: value >= atLeast && value <= atMost,
  };
}
