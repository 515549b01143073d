// What breaks STOMP's rules gets an ERROR that says so, and then the connection is closed, on WebSocket with a code
// that fits. One row a rule; the bytes are sent as they stand here, to a session of that version that is logged in, or
// to a fresh one ("new").
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { useDaemon } from "./lib/daemon.mjs";
import { connect, freshTopic, TRANSPORTS } from "./lib/transports.mjs";

const daemon = useDaemon();

const PROTOCOL = 1002;
const ENCODING = 1007;
const POLICY = 1008;
const SIZE = 1009;

const withoutBody = ["SUBSCRIBE", "UNSUBSCRIBE", "BEGIN", "COMMIT", "ABORT", "ACK", "NACK", "DISCONNECT"];

function frame(command, ...headers) {
  return `${command}\n${headers.map((header) => `${header}\n`).join("")}\n\0`;
}

function send(destination, ...headers) {
  return frame("SEND", `destination:${destination}`, ...headers);
}

function subscribe(destination, ...headers) {
  return frame("SUBSCRIBE", `destination:${destination}`, "id:0", ...headers);
}

const frames = [
  ["commands are case-sensitive", "1.2", "send\ndestination:/topic/a\n\n\0", /command/],
  ["an unknown command", "1.2", frame("HELLO"), /command/],
  ["a server's command", "1.2", frame("MESSAGE", "destination:/topic/a"), /command/],
  ["CR LF is no EOL in 1.1", "1.1", "SEND\r\ndestination:/topic/a\r\n\r\n\0", /command/],
  ["CR LF is no EOL in 1.0", "1.0", "SEND\r\ndestination:/topic/a\r\n\r\n\0", /command/],
  ["NUL within the command", "1.2", "SE\0ND\n\n\0", /NUL|command/],
  ["NUL within a header", "1.2", "SEND\ndestination:/topic/a\0b\n\n\0", /NUL/],
  ["header names are case-sensitive", "1.2", frame("SEND", "Destination:/topic/a"), /destination/],
  ["a header without a colon", "1.2", send("/topic/a", "x"), /colon/],
  ["a header without a name", "1.2", send("/topic/a", ":x"), /name/],
  ["an undefined escape in 1.1", "1.1", send("/topic/a", "x:a\\tb"), /escape/],
  ["an undefined escape in 1.2", "1.2", send("/topic/a", "x:a\\tb"), /escape/],
  ["an undefined escape in a name", "1.2", send("/topic/a", "x\\t:a"), /escape/],
  ["a lone backslash at the end of a value", "1.2", send("/topic/a", "x:a\\"), /escape/],
  ["a header that is not UTF-8", "1.2", Buffer.from(send("/topic/a", "x:\xff\xfe"), "latin1"), /UTF-8/, ENCODING],
  ...withoutBody.map((command) => [
    `a body on ${command}`,
    "1.2",
    `${command}\nid:0\ndestination:/topic/a\ntransaction:t\n\nbody\0`,
    /body/,
  ]),
  ["a negative content-length", "1.2", send("/topic/a", "content-length:-1"), /content-length/],
  ["a content-length that is no number", "1.2", send("/topic/a", "content-length:1x"), /content-length/],
  ["a content-length with a sign", "1.2", send("/topic/a", "content-length:+1"), /content-length/],
  ["an empty content-length", "1.2", send("/topic/a", "content-length:"), /content-length/],
  ["a huge content-length", "1.2", send("/topic/a", `content-length:${"9".repeat(30)}`), /body-size|frame-size/, SIZE],
  ["2^64 as content-length", "1.2", send("/topic/a", "content-length:18446744073709551616"), /-size/, SIZE],
  [
    "a content-length below the body's",
    "1.2",
    "SEND\ndestination:/topic/a\ncontent-length:2\n\nbody\0",
    /NUL|content-length/,
  ],
  ["a content-type that is no MIME type", "1.2", send("/topic/a", "content-type:text"), /content-type|MIME/],
];

const destinations = [
  ["SEND needs a destination", "1.2", frame("SEND"), /destination/],
  ["SEND to nowhere", "1.2", send(""), /destination/],
  ["SEND to a topic without a name", "1.2", send("/topic/"), /\/topic\//],
  ["SEND to a destination with a line end", "1.2", send("/topic/a\\nb"), /destination|control/],
  ["SEND to a topic of very many segments", "1.2", send(`/topic/${"a.".repeat(200)}a`), /segments/],
  ["SUBSCRIBE to a topic of very many segments", "1.2", subscribe(`/topic/${"*.".repeat(200)}a`), /segments/],
  ["SEND to a user without a rest", "1.2", send("/user/bob"), /\/user\/bob/],
  ...["/topic/*", "/topic/a.*.b", "/topic/**", "/topic/a.#", "/topic/a/>"].map((pattern) => [
    `SEND to the pattern ${pattern}`,
    "1.2",
    send(pattern),
    /pattern|wildcard/,
  ]),
  ...["/exchange/a", "topic"].flatMap((destination) => [
    [`SEND to ${destination}, a kind that is not there`, "1.2", send(destination), /destination/],
    [`SUBSCRIBE to ${destination}, a kind that is not there`, "1.2", subscribe(destination), /destination/],
  ]),
  ["SUBSCRIBE to a pattern under /user/", "1.2", subscribe("/user/queue/*"), /pattern|wildcard/],
  ["SUBSCRIBE to a pattern that crosses into /user/", "1.2", subscribe("/**"), /destination|pattern|wildcard/],
  ["SUBSCRIBE needs a destination", "1.2", frame("SUBSCRIBE", "id:0"), /destination/],
  ["SUBSCRIBE needs an id in 1.1", "1.1", frame("SUBSCRIBE", "destination:/topic/a"), /\bid\b/],
  ["SUBSCRIBE needs an id in 1.2", "1.2", frame("SUBSCRIBE", "destination:/topic/a"), /\bid\b/],
  ["an id that is in use", "1.2", subscribe("/topic/a") + subscribe("/topic/b"), /\bid\b/],
  ["an id that is in use in 1.0", "1.0", subscribe("/topic/a") + subscribe("/topic/b"), /\bid\b/],
  ["an unknown ack mode", "1.2", subscribe("/topic/a", "ack:sometimes"), /ack/],
  ["client-individual in 1.0", "1.0", subscribe("/topic/a", "ack:client-individual"), /ack/],
  ["UNSUBSCRIBE needs an id in 1.1", "1.1", frame("UNSUBSCRIBE", "destination:/topic/a"), /\bid\b/],
  ["UNSUBSCRIBE needs an id in 1.2", "1.2", frame("UNSUBSCRIBE", "destination:/topic/a"), /\bid\b/],
  ["UNSUBSCRIBE needs an id or destination in 1.0", "1.0", frame("UNSUBSCRIBE"), /\bid\b/],
];

const acknowledgements = ["ACK", "NACK"].flatMap((command) => [
  [`${command} needs message-id in 1.1`, "1.1", frame(command, "subscription:0"), /message-id/],
  [`${command} needs subscription in 1.1`, "1.1", frame(command, "message-id:0"), /subscription/],
  [`${command} needs id in 1.2`, "1.2", frame(command, "message-id:0", "subscription:0"), /\bid\b/],
  [`${command} in an unknown transaction`, "1.2", frame(command, "id:0", "transaction:t"), /transaction/],
]);
acknowledgements.push(
  ["ACK needs message-id in 1.0", "1.0", frame("ACK", "id:0"), /message-id/],
  ["NACK does not exist in 1.0", "1.0", frame("NACK", "message-id:0"), /NACK/],
);

const begin = frame("BEGIN", "transaction:t");
const transactions = [
  ...["BEGIN", "COMMIT", "ABORT"].map((command) => [
    `${command} needs a transaction`,
    "1.2",
    frame(command),
    /transaction/,
  ]),
  ["a transaction that is open already", "1.2", begin + begin, /transaction/],
  ["COMMIT of an unknown transaction", "1.2", frame("COMMIT", "transaction:t"), /transaction/],
  ["ABORT of an unknown transaction", "1.2", frame("ABORT", "transaction:t"), /transaction/],
  ["SEND in an unknown transaction", "1.2", send("/topic/a", "transaction:t"), /transaction/],
  ["a second COMMIT", "1.2", begin + frame("COMMIT", "transaction:t").repeat(2), /transaction/],
  [
    "COMMIT after ABORT",
    "1.2",
    begin + frame("ABORT", "transaction:t") + frame("COMMIT", "transaction:t"),
    /transaction/,
  ],
];

const connecting = [
  ["the first frame must be CONNECT", "new", send("/topic/a"), /CONNECT/],
  ["DISCONNECT as the first frame", "new", frame("DISCONNECT"), /CONNECT/],
  ["a second CONNECT", "1.2", frame("CONNECT", "accept-version:1.2", "host:test"), /connected/],
  ["STOMP after CONNECT", "1.2", frame("STOMP", "accept-version:1.2", "host:test"), /connected/],
  ["a body on CONNECT", "new", "CONNECT\naccept-version:1.2\n\nbody\0", /body/],
  ...["10", "a,b", "-1,0", "1,2,3", "1, 2", ""].map((value) => [
    `heart-beat:${value}`,
    "new",
    frame("CONNECT", "accept-version:1.2", `heart-beat:${value}`),
    /heart-beat/,
  ]),
  ["a passcode without a login", "new", frame("CONNECT", "accept-version:1.2", "passcode:x"), /login/, POLICY],
  ["a wrong passcode", "new", frame("CONNECT", "accept-version:1.2", "login:alice", "passcode:x"), /login/, POLICY],
  ["no passcode", "new", frame("CONNECT", "accept-version:1.2", "login:alice"), /login/, POLICY],
  ["an unknown user", "new", frame("CONNECT", "accept-version:1.2", "login:eve", "passcode:x"), /login/, POLICY],
];

const groups = { frames, destinations, acknowledgements, transactions, connecting };

for (const transport of TRANSPORTS) {
  for (const [group, rows] of Object.entries(groups)) {
    describe(`Refused over ${transport.name}: ${group}`, { concurrency: 4 }, () => {
      for (const [rule, version, bytes, message, code = PROTOCOL] of rows) {
        test(`${rule} (${version})`, async () => {
          const session = await transport.open(daemon);
          if (version !== "new") {
            await session.connect({ version });
          }
          session.sendRaw(bytes);
          await session.expectError(message, code);
          assert.deepEqual(session.frames, []);
        });
      }
    });
  }

  describe(`ERROR over ${transport.name}`, () => {
    test("echoes the receipt of the frame that was refused, and gives it no RECEIPT", async () => {
      const session = await connect(daemon, transport);
      session.send("SEND", { destination: "/exchange/a", receipt: "the:receipt" });
      const error = await session.expectError(/destination/);
      assert.equal(error.headers["receipt-id"], "the:receipt");
      assert.deepEqual(session.frames, []);
    });

    test("frames behind the refused one are not processed", async () => {
      const session = await connect(daemon, transport);
      const witness = await connect(daemon, transport);
      const topic = freshTopic();
      await witness.subscribe(topic);
      session.sendRaw(send("/exchange/a") + send(topic));
      await session.expectError(/destination/);
      await witness.request("SEND", { destination: topic }, "from the witness");
      assert.equal((await witness.expect("MESSAGE")).text, "from the witness");
      assert.deepEqual(witness.frames, []);
      witness.drop();
    });

    test("Connection Lingering: it gets out although the client is still sending", async () => {
      const session = await connect(daemon, transport);
      session.sendRaw(send("/exchange/a"));
      for (let i = 0; i < 64; i++) {
        session.sendRaw(send("/topic/a", `x:${"y".repeat(4000)}`));
      }
      await session.expect("ERROR");
      session.drop();
    });
  });
}
