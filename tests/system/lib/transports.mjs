// The two ways to a daemon, so that one suite runs over both: `for (const transport of TRANSPORTS) describe(…)`.
import { openTcp } from "./tcp.mjs";
import { openWs } from "./ws.mjs";

export const overWebSocket = {
  name: "WebSocket",
  open: (daemon, options) => openWs(daemon.ports.web, { host: daemon.host, ...options }),
};

export const overTcp = {
  name: "TCP",
  open: (daemon, options) => openTcp(daemon.ports.plain, { host: daemon.host, ...options }),
};

export const TRANSPORTS = [overWebSocket, overTcp];

/** A session that is logged in; `headers` go into its CONNECT. */
export async function connect(daemon, transport, headers = {}, options = {}) {
  const session = await transport.open(daemon, options);
  return session.connect(headers);
}

let topics = 0;

/** A topic that no other test uses. */
export function freshTopic() {
  return `/topic/fresh-${++topics}`;
}
