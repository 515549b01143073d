// What bench/run.mjs prints.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

// What a figure's numbers are, for people.
const UNITS = {
  deliveries_per_cpu_second: "deliveries for a second of its CPU",
  clients_per_cpu_second: "clients for a second of its CPU",
  server_us_per_message: "µs of its CPU for a message",
  latency_p99_ms: "ms, which 99 % are below",
  resident_bytes_per_connection: "bytes of its memory for a connection",
  deliveries_per_second: "deliveries/s",
  clients_per_second: "clients/s",
  connections_per_second: "connections opened/s",
  connect_seconds: "s until all were open",
  first_to_all_ms: "ms, a message to all",
};

export function unitOf(figure) {
  return UNITS[figure];
}

/** With commas between thousands; three digits of what is small. */
export function number(value) {
  return Math.abs(value) < 100 ? fine.format(value) : whole.format(value);
}

/** "1,234 (1,200 to 1,300)" */
export function describe(spread) {
  return spread ? `${number(spread.median)} (${number(spread.lowest)} to ${number(spread.highest)})` : "–";
}

/** "at least 0.6", "at most 4,096" */
export function bound({ atLeast, atMost }) {
  return atLeast === undefined ? `at most ${number(atMost)}` : `at least ${number(atLeast)}`;
}

export function report({ works }, measured) {
  for (const { name, title, servers, figure, rate } of works) {
    console.log(`\n${title}\n  ${"".padEnd(20)}${unitOf(figure).padEnd(40)}${unitOf(rate)}`);
    for (const { title: server, figures } of servers.map((key) => measured.measurementOf(name, key))) {
      console.log(`  ${server.padEnd(20)}${describe(figures[figure]).padEnd(40)}${describe(figures[rate])}`);
    }
  }
}

export function reportBudgets(budgets) {
  console.log("\nbudgets");
  for (const { title, value, ceilingValue, isKept, ...limits } of budgets) {
    const found = `${value === null ? "–" : number(value)}, ${bound(limits)}`;
    const ceiling = ceilingValue === null ? "" : ` (the ceiling's: ${number(ceilingValue)})`;
    console.log(`  ${isKept ? "kept    " : "NOT KEPT"}  ${title.padEnd(62)}${found}${ceiling}`);
  }
}
