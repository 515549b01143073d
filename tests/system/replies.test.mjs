// Reply addresses: a SEND that says reply-to:/temp-queue/NAME makes one that reaches its own session, from any node,
// and that nobody can guess.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { useCluster } from "./lib/cluster.mjs";
import { useDaemon } from "./lib/daemon.mjs";
import { ack, freshQueue, leftIn, mustStayQuiet, take } from "./lib/queue.mjs";
import { Inbox, openClient } from "./lib/stompjs.mjs";
import { connect, freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

const ANSWERS = "/temp-queue/answers";
const PROTOCOL = 1002;

const daemon = useDaemon({
  "user backend": { password: "plain:secret" },
  "destination /app/**": { "app-consumers": "backend" },
  limits: { subscriptions: 5 },
});

/** A service that consumes a queue of its own. */
async function openService(on = daemon, transport = overTcp) {
  const session = await connect(on, transport);
  const queue = freshQueue("service");
  await session.subscribe(queue, "0", { ack: "client-individual" });
  return { session, queue };
}

/** The client asks; gives the address that the service sees. */
async function ask(client, service, { replyTo = ANSWERS, ...headers } = {}) {
  await client.request("SEND", { destination: service.queue, "reply-to": replyTo, ...headers }, "question");
  const question = await service.session.expect("MESSAGE");
  await ack(service.session, question);
  return question.headers["reply-to"];
}

for (const transport of TRANSPORTS) {
  describe(`Reply addresses over ${transport.name}`, () => {
    const open = () => connect(daemon, transport);

    test("a request is answered", async () => {
      const [client, service] = [await open(), await openService(daemon, transport)];
      const address = await ask(client, service, { "correlation-id": "17" });
      assert.match(address, /^\/temp-queue\/.+\/.+\/answers$/);
      const body = Buffer.from("a\0b\xff", "latin1");
      await service.session.request("SEND", { destination: address, "correlation-id": "17" }, body);
      const answer = await client.expect("MESSAGE");
      assert.equal(answer.headers.subscription, ANSWERS);
      assert.equal(answer.headers["correlation-id"], "17");
      assert.equal(answer.headers.ack, undefined);
      assert.notEqual(answer.headers["message-id"] ?? "", "");
      assert.deepEqual(answer.body, body);
      [client, service.session].forEach((session) => session.drop());
    });

    test("its answers come as often as they are sent, in order", async () => {
      const [client, service] = [await open(), await openService()];
      const address = await ask(client, service);
      for (let i = 0; i < 50; i++) {
        service.session.send("SEND", { destination: address }, String(i));
      }
      const texts = (await take(client, 50)).map(({ text }) => text);
      assert.deepEqual(
        texts,
        texts.map((_, i) => String(i)),
      );
      [client, service.session].forEach((session) => session.drop());
    });

    test("a name that is used again is the same address, and each answer comes once", async () => {
      const [client, service] = [await open(), await openService()];
      const addresses = [await ask(client, service), await ask(client, service)];
      assert.equal(addresses[0], addresses[1]);
      await service.session.request("SEND", { destination: addresses[0] }, "answer");
      assert.equal((await client.expect("MESSAGE")).text, "answer");
      await mustStayQuiet(client);
      [client, service.session].forEach((session) => session.drop());
    });

    test("several names are several addresses", async () => {
      const [client, service] = [await open(), await openService()];
      for (const name of ["one", "two", "three.x", "a:b\\ä"]) {
        const address = await ask(client, service, { replyTo: `/temp-queue/${name}` });
        await service.session.request("SEND", { destination: address }, name);
        const { headers, text } = await client.expect("MESSAGE");
        assert.equal(text, name);
        assert.equal(headers.subscription, `/temp-queue/${name}`);
      }
      [client, service.session].forEach((session) => session.drop());
    });

    test("two sessions, with the same name, do not get each other's", async () => {
      const [clients, service] = [[await open(), await open()], await openService()];
      const addresses = [await ask(clients[0], service), await ask(clients[1], service)];
      const tokens = addresses.map((address) => address.split("/")[3]);
      assert.notEqual(tokens[0], tokens[1]);
      await service.session.request("SEND", { destination: addresses[1] }, "to the second");
      assert.equal((await clients[1].expect("MESSAGE")).text, "to the second");
      for (const client of clients) {
        await mustStayQuiet(client);
        client.drop();
      }
      service.session.drop();
    });

    test("addresses that are made up reach nobody, and harm nobody", async () => {
      const [client, service, forger] = [await open(), await openService(), await open()];
      const address = await ask(client, service);
      const [, , session, token] = address.split("/");
      const other = token.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
      const forged = [
        address.replace(token, other),
        address.replace(token, token.slice(1)),
        address.replace(session, forger.connected.headers.session),
        `/temp-queue/${session}/answers`,
        `/temp-queue/${session}//answers`,
        `/temp-queue/${session}/${token}/other`,
        `/temp-queue/${session}/${token}/`,
        `${address}/x`,
        `${address}x`,
      ];
      for (const destination of forged) {
        await forger.request("SEND", { destination }, destination);
      }
      await mustStayQuiet(client);
      await forger.request("SEND", { destination: address }, "the true one");
      assert.equal((await client.expect("MESSAGE")).text, "the true one");
      [client, service.session, forger].forEach((one) => one.drop());
    });

    test("an answer to a session that is gone is dropped", async () => {
      const [client, service] = [await open(), await openService()];
      const address = await ask(client, service);
      await client.request("DISCONNECT");
      await client.expectClose(1000);
      await service.session.request("SEND", { destination: address }, "too late");
      await mustStayQuiet(service.session);
      service.session.drop();
    });

    test("an address that is passed on stays as it is: whoever gets it may answer", async () => {
      const [client, service, helper] = [await open(), await openService(), await openService()];
      const address = await ask(client, service);
      await service.session.request("SEND", { destination: helper.queue, "reply-to": address }, "please answer");
      const { headers } = await helper.session.expect("MESSAGE");
      assert.equal(headers["reply-to"], address);
      await helper.session.request("SEND", { destination: headers["reply-to"] }, "from the helper");
      assert.equal((await client.expect("MESSAGE")).text, "from the helper");
      [client, service.session, helper.session].forEach((session) => session.drop());
    });

    for (const replyTo of ["/queue/answers", "/topic/answers", "somewhere", ""]) {
      test(`reply-to:${replyTo} is none of ours, and is passed on`, async () => {
        const [client, service] = [await open(), await openService()];
        assert.equal(await ask(client, service, { replyTo }), replyTo);
        [client, service.session].forEach((session) => session.drop());
      });
    }

    test("a SEND to a topic, a user or the application may have one too", async () => {
      const client = await open();
      const [reader, alice, backend] = [
        await open(),
        await connect(daemon, transport, { login: "alice", passcode: "wonderland" }),
        await connect(daemon, transport, { login: "backend", passcode: "secret" }),
      ];
      const topic = freshTopic();
      await reader.subscribe(topic);
      await alice.subscribe("/user/queue/x");
      await backend.subscribe("/app/**");
      for (const [destination, receiver] of [
        [topic, reader],
        ["/user/alice/queue/x", alice],
        ["/app/x", backend],
      ]) {
        await client.request("SEND", { destination, "reply-to": ANSWERS });
        const { headers } = await receiver.expect("MESSAGE");
        await receiver.request("SEND", { destination: headers["reply-to"] }, destination);
        assert.equal((await client.expect({ command: "MESSAGE", subscription: ANSWERS })).text, destination);
      }
      [client, reader, alice, backend].forEach((session) => session.drop());
    });

    test("a SEND in a transaction may have one, and an answer may be in one", async () => {
      const [client, service] = [await open(), await openService()];
      const transaction = { transaction: "t" };
      await client.request("BEGIN", transaction);
      await client.request("SEND", { destination: service.queue, "reply-to": ANSWERS, ...transaction });
      await client.request("COMMIT", transaction);
      const question = await service.session.expect("MESSAGE");
      await service.session.request("BEGIN", transaction);
      await service.session.request("ACK", { id: question.headers.ack, ...transaction });
      await service.session.request("SEND", { destination: question.headers["reply-to"], ...transaction }, "answer");
      await mustStayQuiet(client);
      await service.session.request("COMMIT", transaction);
      assert.equal((await client.expect("MESSAGE")).text, "answer");
      await service.session.request("UNSUBSCRIBE", { id: "0" });
      assert.deepEqual(await leftIn(daemon, service.queue), []);
      [client, service.session].forEach((session) => session.drop());
    });

    const refusals = [
      ["SUBSCRIBE to a name", "SUBSCRIBE", { destination: ANSWERS, id: "0" }, /reply/],
      ["SEND to a name", "SEND", { destination: ANSWERS }, /reply/],
      ["SEND to no name", "SEND", { destination: "/temp-queue/" }, /\/temp-queue\//],
      ["a reply-to without a name", "SEND", { destination: "/topic/x", "reply-to": "/temp-queue/" }, /\/temp-queue\//],
    ];
    for (const [what, command, headers, message] of refusals) {
      test(`${what} is refused`, async () => {
        const session = await open();
        session.send(command, headers);
        await session.expectError(message, PROTOCOL);
      });
    }

    test("SUBSCRIBE to another session's address is refused", async () => {
      const [client, service, spy] = [await open(), await openService(), await open()];
      const address = await ask(client, service);
      spy.send("SUBSCRIBE", { destination: address, id: "0" });
      await spy.expectError(/reply/, PROTOCOL);
      await service.session.request("SEND", { destination: address }, "private");
      assert.equal((await client.expect("MESSAGE")).text, "private");
      [client, service.session].forEach((session) => session.drop());
    });

    test("names count as subscriptions, which have a limit", async () => {
      const [client, service] = [await open(), await openService()];
      for (let i = 0; i < 5; i++) {
        await ask(client, service, { replyTo: `/temp-queue/${i}` });
      }
      await ask(client, service, { replyTo: "/temp-queue/0" });
      client.send("SEND", { destination: service.queue, "reply-to": "/temp-queue/5" });
      await client.expectError(/\bsubscriptions\b/, 1008);
      service.session.drop();
    });
  });
}

describe("STOMP.js", () => {
  test("gets answers as messages without a subscription of its own", async () => {
    const [client, service] = [await openClient(daemon.ports.web), await openService()];
    const inbox = new Inbox();
    client.onUnhandledMessage = inbox.take;
    client.publish({ destination: service.queue, body: "question", headers: { "reply-to": ANSWERS } });
    const question = await service.session.expect("MESSAGE");
    await service.session.request("SEND", { destination: question.headers["reply-to"] }, "answer");
    const answer = await inbox.next();
    assert.equal(answer.body, "answer");
    assert.equal(answer.headers.subscription, ANSWERS);
    service.session.drop();
  });
});

describe("Across nodes", () => {
  const cluster = useCluster({ size: 2 });

  test("request and reply go between any two, a hundred times at once", async () => {
    const [a, b] = cluster.nodes;
    const service = await openService(b);
    const clients = await Promise.all([a, b, a, b].map((node, i) => connect(node, TRANSPORTS[i % 2])));
    for (const [i, client] of clients.entries()) {
      for (let n = 0; n < 25; n++) {
        const headers = {
          destination: service.queue,
          "reply-to": `/temp-queue/${n % 3}`,
          "correlation-id": `${i}/${n}`,
        };
        client.send("SEND", headers, "question");
      }
    }
    for (const question of await take(service.session, 100)) {
      const { "reply-to": destination, "correlation-id": id } = question.headers;
      service.session.send("SEND", { destination, "correlation-id": id });
      service.session.send("ACK", { id: question.headers.ack });
    }
    for (const [i, client] of clients.entries()) {
      const ids = (await take(client, 25)).map(({ headers }) => headers["correlation-id"]);
      assert.deepEqual(ids.sort(), Array.from({ length: 25 }, (_, n) => `${i}/${n}`).sort());
      await mustStayQuiet(client);
      client.drop();
    }
    service.session.drop();
  });

  test("a first request never misses its answer, whoever is new", async () => {
    const [a, b] = cluster.nodes;
    const service = await openService(b);
    for (let i = 0; i < 10; i++) {
      const client = await connect(a, overWebSocket);
      client.send("SEND", { destination: service.queue, "reply-to": ANSWERS });
      const question = await service.session.expect("MESSAGE");
      service.session.send("SEND", { destination: question.headers["reply-to"] }, String(i));
      assert.equal((await client.expect("MESSAGE")).text, String(i));
      client.drop();
    }
    service.session.drop();
  });

  test("an address that is made up reaches nobody on the other node either", async () => {
    const [a, b] = cluster.nodes;
    const [client, service] = [await connect(a, overTcp), await openService(b)];
    const address = await ask(client, service);
    await service.session.request("SEND", { destination: address.replace("/answers", "/other") }, "forged");
    await service.session.request("SEND", { destination: address }, "true");
    assert.equal((await client.expect("MESSAGE")).text, "true");
    await mustStayQuiet(client);
    [client, service.session].forEach((session) => session.drop());
  });

  test("the node of the session dies: answers are dropped, and the service goes on", async () => {
    const [a, b] = cluster.nodes;
    const [client, service] = [await connect(a, overTcp), await openService(b)];
    const address = await ask(client, service);
    await a.crash();
    await service.session.request("SEND", { destination: address }, "too late");
    await cluster.startNode(a);
    const next = await connect(a, overTcp);
    const fresh = await ask(next, service);
    assert.notEqual(fresh, address);
    await service.session.request("SEND", { destination: address }, "to the old one");
    await service.session.request("SEND", { destination: fresh }, "to the new one");
    assert.equal((await next.expect("MESSAGE")).text, "to the new one");
    [next, service.session].forEach((session) => session.drop());
  });
});
