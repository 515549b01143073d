// /app/…: what clients send there goes to one of the application's consumers, with headers that say truly who sent
// it, so that the application can answer to that user or that session.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { useDaemon } from "./lib/daemon.mjs";
import { eventually } from "./lib/eventually.mjs";
import { ack, leftIn, mustStayQuiet, nack, put, roundTrip, take, textsOf } from "./lib/queue.mjs";
import { changeAndReload } from "./lib/reload.mjs";
import { connect, overTcp, TRANSPORTS } from "./lib/transports.mjs";

const POLICY = 1008;
const INDIVIDUAL = { ack: "client-individual" };
const ALICE = { login: "alice", passcode: "wonderland" };
const ORDERS = "/app/orders/**";
const ALL = "/app/**";

const daemon = useDaemon({
  "user backend": { password: "plain:secret" },
  "user billing": { password: "plain:secret" },
  "user john/doe%": { password: "plain:secret" },
  [`destination ${ORDERS}`]: { "app-consumers": "billing backend" },
  "destination /app/closed/**": {},
  "destination /app/brief/**": { "app-consumers": "backend", "max-age": "200ms" },
  "destination /app/small/**": { "app-consumers": "backend", "max-messages": 2 },
  [`destination ${ALL}`]: { "app-consumers": "backend" },
});

const logIn = (login, transport = overTcp, on = daemon) => connect(on, transport, { login, passcode: "secret" });

/** A consumer of the application. */
async function consume(pattern, { user = "backend", transport = overTcp, headers = INDIVIDUAL } = {}) {
  const session = await logIn(user, transport);
  await session.subscribe(pattern, "0", headers);
  return session;
}

for (const transport of TRANSPORTS) {
  describe(`/app over ${transport.name}`, () => {
    test("each message reaches one of the consumers, under the destination that it was sent to", async () => {
      const consumers = [await consume(ALL, { transport }), await consume(ALL, { transport })];
      const client = await connect(daemon, transport);
      const destinations = Array.from({ length: 20 }, (_, i) => `/app/rooms/${i}/join`);
      for (const destination of destinations) {
        await client.request("SEND", { destination }, "hello");
      }
      await eventually("20 messages", () => consumers[0].frames.length + consumers[1].frames.length >= 20);
      await Promise.all(consumers.map(roundTrip));
      const messages = consumers.flatMap(({ frames }) => frames);
      assert.deepEqual(messages.map(({ headers }) => headers.destination).sort(), destinations.sort());
      assert.ok(messages.every(({ headers }) => headers.subscription === "0"));
      for (const consumer of consumers) {
        for (const message of consumer.frames.splice(0)) {
          await ack(consumer, message);
        }
        await consumer.request("DISCONNECT");
      }
      client.drop();
    });

    test("the headers user, session and node say who sent it, whatever the SEND says", async () => {
      const consumer = await consume(ALL, { transport });
      const forged = { user: "forged", session: "forged", node: "forged", redelivered: "forged", other: "kept" };
      for (const login of [ALICE, { login: "john/doe%", passcode: "secret" }, {}]) {
        const client = await connect(daemon, transport, login);
        await client.request("SEND", { destination: "/app/who", ...forged }, "hello");
        const message = await consumer.expect("MESSAGE");
        const { headers, pairs } = message;
        assert.equal(headers.user, login.login);
        assert.equal(headers.session, client.connected.headers.session);
        assert.equal(headers.node, "test-node");
        assert.equal(headers.other, "kept");
        assert.deepEqual(
          pairs.filter(([, value]) => value === "forged"),
          [],
        );
        for (const name of ["user", "session", "node"]) {
          assert.ok(pairs.filter(([given]) => given === name).length <= 1, `${name} is there more than once`);
        }
        await ack(consumer, message);
        client.drop();
      }
      consumer.drop();
    });

    test("the application answers to the user, or to the session", async () => {
      const consumer = await consume(ALL, { transport });
      const [page, otherPage, guest] = [
        await connect(daemon, transport, ALICE),
        await connect(daemon, transport, ALICE),
        await connect(daemon, transport),
      ];
      const clients = [page, otherPage, guest];
      await Promise.all(clients.map((client) => client.subscribe("/user/queue/answers")));
      const ask = async (client) => {
        await client.request("SEND", { destination: "/app/ask" });
        const message = await consumer.expect("MESSAGE");
        await ack(consumer, message);
        return message.headers;
      };

      const { user, session } = await ask(page);
      await consumer.request("SEND", { destination: `/user/${user}/queue/answers` }, "to all pages");
      assert.equal((await page.expect("MESSAGE")).text, "to all pages");
      assert.equal((await otherPage.expect("MESSAGE")).text, "to all pages");

      await consumer.request("SEND", { destination: `/user/${user}/queue/answers`, session }, "to this page");
      assert.equal((await page.expect("MESSAGE")).text, "to this page");

      const anonymous = await ask(guest);
      await consumer.request(
        "SEND",
        { destination: "/user//queue/answers", session: anonymous.session },
        "to the guest",
      );
      assert.equal((await guest.expect("MESSAGE")).text, "to the guest");
      for (const client of clients) {
        await mustStayQuiet(client);
      }
      [consumer, ...clients].forEach((client) => client.drop());
    });

    for (const [who, login] of [
      ["a user who is not named", ALICE],
      ["an anonymous session", {}],
      ["one who is named elsewhere", { login: "billing", passcode: "secret" }],
    ]) {
      test(`${who} may not subscribe`, async () => {
        const session = await connect(daemon, transport, login);
        session.send("SUBSCRIBE", { destination: ALL, id: "0", receipt: "r" });
        const error = await session.expectError(/app-consumers.*\/app\/\*\*/, POLICY);
        assert.equal(error.headers["receipt-id"], "r");
      });
    }

    test("nobody may subscribe where nobody is named", async () => {
      const session = await logIn("backend", transport);
      session.send("SUBSCRIBE", { destination: "/app/closed/**", id: "0" });
      await session.expectError(/app-consumers/, POLICY);
    });

    for (const pattern of [
      "/app/x",
      "/app/*",
      "/app/orders/*",
      "/app/orders/**/x",
      "/app/orders.**",
      "/app/orders/#",
    ]) {
      test(`SUBSCRIBE ${pattern} is none of the sections' patterns`, async () => {
        const session = await logIn("backend", transport);
        session.send("SUBSCRIBE", { destination: pattern, id: "0" });
        await session.expectError(/pattern/, POLICY);
      });
    }

    test("a SEND where nobody is named is refused", async () => {
      const session = await logIn("backend", transport);
      session.send("SEND", { destination: "/app/closed/x", receipt: "r" });
      const error = await session.expectError(/app-consumers.*\/app\/closed\/x/, POLICY);
      assert.equal(error.headers["receipt-id"], "r");
    });
  });
}

describe("An application's queue", () => {
  let client;
  before(async () => (client = await connect(daemon, overTcp, ALICE)));
  after(() => client.drop());

  test("keeps what comes before its consumers, in order", async () => {
    await put(client, "/app/early", ["a", "b", "c"]);
    const consumer = await consume(ALL);
    const messages = await take(consumer, 3);
    assert.deepEqual(textsOf(messages), ["a", "b", "c"]);
    for (const message of messages) {
      await ack(consumer, message);
    }
    await consumer.request("DISCONNECT");
  });

  test("the first section whose pattern matches takes the message, and no other", async () => {
    const [orders, all] = [await consume(ORDERS, { user: "billing" }), await consume(ALL)];
    await put(client, "/app/orders/17", ["an order"]);
    await put(client, "/app/orders.18", ["another"]);
    await put(client, "/app/other/17", ["something else"]);
    const taken = await take(orders, 2);
    assert.deepEqual(textsOf(taken), ["an order", "another"]);
    const [other] = await take(all, 1);
    assert.equal(other.text, "something else");
    await Promise.all([orders, all].map(mustStayQuiet));
    await ack(all, other);
    for (const message of taken) {
      await ack(orders, message);
    }
    [orders, all].forEach((session) => session.drop());
  });

  test("one session may consume several", async () => {
    const session = await consume(ORDERS);
    await session.subscribe(ALL, "all");
    await put(client, "/app/x", ["a"]);
    assert.equal((await session.expect("MESSAGE")).headers.subscription, "all");
    session.drop();
  });

  test("gives what a lost consumer had to another, as redelivered, with the sender's headers", async () => {
    const first = await consume(ALL);
    await put(client, "/app/x", ["a"]);
    const message = await first.expect("MESSAGE");
    first.drop();
    const second = await consume(ALL);
    const again = await second.expect("MESSAGE");
    assert.equal(again.headers.redelivered, "true");
    assert.equal(again.headers["delivery-count"], "2");
    for (const name of ["user", "session", "node", "destination", "message-id"]) {
      assert.equal(again.headers[name], message.headers[name]);
    }
    await ack(second, again);
    second.drop();
  });

  test("rejected messages go to /queue/app.dead", async () => {
    const consumer = await consume(ALL);
    await put(client, "/app/nonsense", ["a"]);
    await nack(consumer, await consumer.expect("MESSAGE"), { requeue: "false" });
    const [dead, ...others] = await leftIn(daemon, "/queue/app.dead");
    assert.deepEqual(others, []);
    assert.equal(dead.text, "a");
    assert.equal(dead.headers["dead-letter-from"], ALL);
    assert.equal(dead.headers["dead-letter-reason"], "rejected");
    assert.equal(dead.headers.user, "alice");
    consumer.drop();
  });

  test("forgets what is older than max-age", async () => {
    await put(client, "/app/brief/x", ["a"]);
    await sleep(300);
    await put(client, "/app/brief/x", ["b"]);
    const consumer = await consume("/app/brief/**", { headers: {} });
    assert.equal((await consumer.expect("MESSAGE")).text, "b");
    await mustStayQuiet(consumer);
    consumer.drop();
  });

  test("refuses when it is full", async () => {
    const sender = await connect(daemon, overTcp);
    await put(sender, "/app/small/x", ["a", "b"]);
    sender.send("SEND", { destination: "/app/small/y" });
    await sender.expectError(/full.*\/app\/small/, POLICY);
  });

  test("takes part in transactions", async () => {
    const consumer = await consume(ALL);
    await client.request("BEGIN", { transaction: "t" });
    await client.request("SEND", { destination: "/app/x", transaction: "t" }, "in a transaction");
    await mustStayQuiet(consumer);
    await client.request("COMMIT", { transaction: "t" });
    const message = await consumer.expect("MESSAGE");
    assert.equal(message.headers.user, "alice");
    await ack(consumer, message);
    consumer.drop();
  });
});

describe("Without any section", () => {
  const bare = useDaemon();

  test("no application is there: SEND and SUBSCRIBE are refused", async () => {
    const sender = await connect(bare, overTcp, ALICE);
    sender.send("SEND", { destination: "/app/x" });
    await sender.expectError(/app-consumers/, POLICY);
    const subscriber = await connect(bare, overTcp, ALICE);
    subscriber.send("SUBSCRIBE", { destination: ALL, id: "0" });
    await subscriber.expectError(/app-consumers|pattern/, POLICY);
  });
});

describe("SIGHUP", () => {
  const changing = useDaemon({
    "user backend": { password: "plain:secret" },
    [`destination ${ALL}`]: { "app-consumers": "backend" },
  });

  test("other app-consumers: who is named now may subscribe, who is not any more may not", async () => {
    const early = await logIn("backend", overTcp, changing);
    await early.subscribe(ALL, "0");
    const refused = await connect(changing, overTcp, ALICE);
    refused.send("SUBSCRIBE", { destination: ALL, id: "0" });
    await refused.expectError(/app-consumers/);
    early.drop();

    await changeAndReload(changing, { [`destination ${ALL}`]: { "app-consumers": "alice" } });
    const late = await connect(changing, overTcp, ALICE);
    await late.subscribe(ALL, "0");
    const old = await logIn("backend", overTcp, changing);
    old.send("SUBSCRIBE", { destination: ALL, id: "0" });
    await old.expectError(/app-consumers/);
    await put(late, "/app/x", ["to the new one"]);
    assert.equal((await late.expect("MESSAGE")).text, "to the new one");
    late.drop();
  });

  test("a section that is new, and one that is gone", async () => {
    const sections = { "destination /app/new/**": { "app-consumers": "alice" }, [`destination ${ALL}`]: null };
    await changeAndReload(changing, sections);
    const consumer = await connect(changing, overTcp, ALICE);
    await consumer.subscribe("/app/new/**");
    await put(consumer, "/app/new/x", ["a"]);
    assert.equal((await consumer.expect("MESSAGE")).text, "a");
    consumer.send("SEND", { destination: "/app/x" });
    await consumer.expectError(/app-consumers/);
  });
});
