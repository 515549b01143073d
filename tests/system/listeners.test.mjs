// Listeners of one node are apart, whatever Host header or TLS server name a client sends: libwebsockets would pick
// another listener's certificate, protocols and buffers by them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import tls from "node:tls";

import { useCertificate } from "./lib/certificate.mjs";
import { useDaemon } from "./lib/daemon.mjs";
import { encodeFrame } from "./lib/frame.mjs";
import { freshTopic } from "./lib/transports.mjs";
import { openWs } from "./lib/ws.mjs";

const [one, other] = [useCertificate(), useCertificate()];

/** A crypt(3) hash that takes about a quarter of a second to check. */
const SLOW_HASH = execFileSync("perl", ["-e", 'print crypt("secret", q($6$rounds=1500000$saltsaltsalt$))']).toString();

// The one for plain TCP comes first, the one for plain WebSocket second: neither suits the others.
const daemon = useDaemon({
  "listen web": null,
  "listen still": { protocol: "ws", path: "/ws" },
  "listen one": { protocol: "ws", path: "/ws", ...one.conf },
  "listen other": { protocol: "ws", path: "/ws", ...other.conf },
  "user slow": { password: SLOW_HASH },
});

const HOSTS = ["one", "other", "still", "plain", "stompd", "s", "app.example"];

describe("A Host header", () => {
  for (const host of HOSTS) {
    test(`"${host}" makes no other listener of a plain one`, async () => {
      const session = await openWs(daemon.ports.still, { headers: { host } });
      await session.connect();
      session.drop();
    });

    test(`"${host}" makes no other listener of one with TLS, also while it is paused with data pending`, async () => {
      const session = await openWs(daemon.ports.one, { ca: one.ca, headers: { host } });
      const login = { login: "slow", passcode: "secret", "accept-version": "1.2", host: "test" };
      session.sendRaw(encodeFrame("CONNECT", login));
      for (let n = 0; n < 100; n++) {
        session.sendRaw(encodeFrame("SEND", { destination: freshTopic() }, "x".repeat(1000)));
      }
      session.sendRaw(encodeFrame("SEND", { destination: freshTopic(), receipt: "last" }, "x"));
      await session.expect("CONNECTED");
      await session.expect({ command: "RECEIPT", "receipt-id": "last" });
      session.drop();
    });
  }
});

describe("A TLS server name", () => {
  for (const servername of HOSTS) {
    test(`"${servername}" leaves each listener its own certificate`, async () => {
      for (const [port, { ca }] of [
        [daemon.ports.one, one],
        [daemon.ports.other, other],
      ]) {
        await new Promise((resolve, reject) => {
          const options = { host: "127.0.0.1", port, ca, servername, checkServerIdentity: () => undefined };
          const socket = tls.connect(options, () => {
            assert.ok(socket.authorized);
            socket.destroy();
            resolve();
          });
          socket.on("error", reject);
        });
      }
    });
  }
});
