// Three nodes over one Redis, while all is well: they are one server to their clients. What is sent on one node is
// heard on the others, once and in order, users are found wherever they are, and nobody hears what he did not ask for.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { ask, askApi, nodesAlive, onlineUsers, sessionsOf, useCluster } from "./lib/cluster.mjs";
import { eventually } from "./lib/eventually.mjs";
import { Page } from "./lib/page.mjs";
import { connect, freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

const USERS = { "user carol": { password: "plain:carols" }, "user dave/o%": { password: "plain:daves" } };
const ALICE = { login: "alice", passcode: "wonderland" };
const BOB = { login: "bob", passcode: "builder" };
const CAROL = { login: "carol", passcode: "carols" };

let a, b, c;
const cluster = useCluster({ size: 3, conf: USERS }, ({ nodes }) => ([a, b, c] = nodes));

/** What it has heard up to this body, in order, by subscription where it has several. */
async function heardUntil(session, last, subscription) {
  const isMine = ({ headers }) => subscription === undefined || headers.subscription === subscription;
  const messages = () => session.frames.filter((frame) => frame.command === "MESSAGE" && isMine(frame));
  await session.waitFor(`the message ${last}`, () => messages().some(({ text }) => text === last));
  return messages().map(({ text }) => text);
}

const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => String(from + i));

async function subscribers(channel, kind = "NUMSUB") {
  const [, count] = await cluster.redis.command("PUBSUB", kind, channel);
  return count;
}

describe("A topic", () => {
  for (const transport of TRANSPORTS) {
    test(`${transport.name}: is heard on all nodes, once and in order`, async () => {
      const topic = freshTopic();
      const sessions = await Promise.all([a, b, c, c].map((node) => connect(node, transport)));
      await Promise.all(sessions.map((session) => session.subscribe(topic)));
      const publisher = sessions[0];
      for (const number of numbers(0, 300)) {
        publisher.send("SEND", { destination: topic }, number);
      }
      for (const session of sessions) {
        assert.deepEqual(await heardUntil(session, "299"), numbers(0, 300));
      }
      sessions.forEach((session) => session.drop());
    });
  }

  test("carries headers, bodies and versions to other nodes as they were", async () => {
    const topic = freshTopic();
    const path = "a:b\\c ž";
    const lines = "a:b\nc";
    const bytes = Buffer.from([0, 255, 10, 13, 0, 195, 40]);
    const receivers = await Promise.all(["1.0", "1.1", "1.2"].map((version) => connect(b, overWebSocket, { version })));
    await Promise.all(receivers.map((session) => session.subscribe(topic)));
    const publisher = await connect(a, overTcp, ALICE);
    await publisher.request("SEND", { destination: topic, path, lines, "content-type": "x/y", empty: "" }, bytes);
    for (const session of receivers) {
      const { headers, body } = await session.expect("MESSAGE");
      assert.deepEqual(body, bytes);
      assert.equal(headers["content-type"], "x/y");
      assert.equal(headers.empty, "");
      assert.equal(headers.destination, topic);
      assert.equal(headers.path, path);
      assert.equal(headers.lines, session.version === "1.0" ? undefined : lines); // 1.0 can't carry a line end
      session.drop();
    }
    publisher.drop();
  });

  test("a large body crosses too", async () => {
    const topic = freshTopic();
    const [publisher, reader] = [await connect(a, overTcp), await connect(c, overWebSocket)];
    await reader.subscribe(topic);
    const body = "0123456789".repeat(100_000);
    publisher.send("SEND", { destination: topic }, body);
    assert.equal((await reader.expect("MESSAGE")).text, body);
    publisher.drop();
    reader.drop();
  });

  test("publishers on all nodes at once: nobody misses or doubles anything", async () => {
    const topic = freshTopic();
    const sessions = await Promise.all([a, b, c].flatMap((node) => [connect(node, overTcp), connect(node, overTcp)]));
    await Promise.all(sessions.map((session) => session.subscribe(topic)));
    for (const number of numbers(0, 100)) {
      sessions.forEach((session, i) => session.send("SEND", { destination: topic, from: i }, number));
    }
    for (const session of sessions) {
      await session.waitFor("all messages", () => session.frames.length >= 600);
      for (const i of sessions.keys()) {
        const mine = session.frames.filter(({ headers }) => headers.from === String(i));
        assert.deepEqual(
          mine.map(({ text }) => text),
          numbers(0, 100),
        );
      }
    }
    sessions.forEach((session) => session.drop());
  });

  test("patterns and exact subscriptions that overlap: one copy for each", async () => {
    const topic = freshTopic();
    const name = topic.slice("/topic/".length);
    const wanted = [`${topic}.x.y`, `${topic}.*.y`, `${topic}.**`, `/topic/*.x.y`, "/topic/**", `/topic/${name}.x.>`];
    const [one, other, publisher] = await Promise.all([b, b, a].map((node) => connect(node, overWebSocket)));
    for (const [id, destination] of wanted.entries()) {
      await one.subscribe(destination, String(id));
    }
    await other.subscribe(`${topic}.*.y`, "0");
    for (const number of numbers(0, 20)) {
      publisher.send("SEND", { destination: `${topic}.x.y` }, number);
    }
    publisher.send("SEND", { destination: `${topic}.x.z` }, "only for some");
    for (const id of wanted.keys()) {
      const last = [2, 4, 5].includes(id) ? ["only for some"] : [];
      assert.deepEqual(await heardUntil(one, last[0] ?? "19", String(id)), [...numbers(0, 20), ...last], wanted[id]);
    }
    assert.deepEqual(await heardUntil(other, "19"), numbers(0, 20));
    [one, other, publisher].forEach((session) => session.drop());
  });

  test("destinations with letters that are special to Redis are taken word by word", async () => {
    const topic = freshTopic();
    const [reader, publisher] = [await connect(c, overTcp), await connect(a, overTcp)]; // node-c has no other patterns
    const special = ["a?c", "a[bx]c", "a\\c", "a^c", "a b", "ž", "a]c"].map((name) => `${topic}.${name}`);
    for (const [id, destination] of special.entries()) {
      await reader.subscribe(destination, `exact-${id}`);
      await reader.subscribe(`${destination}.*`, `pattern-${id}`);
    }
    for (const destination of [`${topic}.abc`, `${topic}.abc.d`, `${topic}.c`, ...special]) {
      publisher.send("SEND", { destination }, destination);
      publisher.send("SEND", { destination: `${destination}.d` }, `${destination}.d`);
    }
    await heardUntil(reader, `${special.at(-1)}.d`);
    const heard = reader.frames.map(({ headers, text }) => [headers.subscription, text]).sort();
    const expected = special.flatMap((name, id) => [
      [`exact-${id}`, name],
      [`pattern-${id}`, `${name}.d`],
    ]);
    assert.deepEqual(heard, expected.sort());
    reader.drop();
    publisher.drop();
  });

  test("a request that follows its SUBSCRIBE at once never loses the answer", async () => {
    const requests = freshTopic();
    const responder = await connect(b, overWebSocket);
    await responder.subscribe(requests);
    const clients = await Promise.all(numbers(0, 8).map((n) => connect([a, c][n % 2], overWebSocket)));
    const answering = (async () => {
      for (let i = 0; i < 8 * 25; i++) {
        const { headers, text } = await responder.expect("MESSAGE");
        responder.send("SEND", { destination: headers["reply-to"] }, text);
      }
    })();
    const asking = clients.map(async (client) => {
      for (const number of numbers(0, 25)) {
        const reply = freshTopic();
        client.send("SUBSCRIBE", { id: reply, destination: reply });
        client.send("SEND", { destination: requests, "reply-to": reply }, number);
        assert.equal((await client.expect({ command: "MESSAGE", subscription: reply })).text, number);
        client.send("UNSUBSCRIBE", { id: reply });
      }
    });
    await Promise.all([answering, ...asking]);
    [responder, ...clients].forEach((session) => session.drop());
  });

  test("STOMP.js pages on different nodes talk", async () => {
    const topic = freshTopic();
    const open = (node) => new Page(node.ports.web, { destinations: [topic] }).start();
    const pages = await Promise.all([a, b, c].map(open));
    await Promise.all(pages.map((page, i) => page.request(topic, `from page ${i}`)));
    await Promise.all(pages.flatMap((page) => [0, 1, 2].map((i) => page.hears(`from page ${i}`))));
    pages.forEach(({ heard }) => assert.equal(heard.length, 3));
    await Promise.all(pages.map((page) => page.stop()));
  });
});

describe("Interest", () => {
  test("a node asks Redis for what its sessions want, once, and lets go of it a second after the last", async () => {
    const topic = freshTopic();
    const channel = `stompd:t:${topic}`;
    assert.equal(await subscribers(channel), 0);
    const sessions = await Promise.all([a, a, b].map((node) => connect(node, overTcp)));
    await Promise.all(sessions.map((session) => session.subscribe(topic)));
    assert.equal(await subscribers(channel), 2);
    await sessions[0].request("UNSUBSCRIBE", { id: "0" });
    sessions[2].drop();
    await eventually("node-b to let go", async () => (await subscribers(channel)) === 1);
    sessions[1].drop();
    await eventually("node-a to let go", async () => (await subscribers(channel)) === 0);
    sessions[0].drop();
  });

  test("a subscription that comes back just when its interest is let go hears everything", async () => {
    const comeBack = async (i) => {
      const topic = freshTopic();
      const [reader, publisher] = [await connect(a, overTcp), await connect(b, overTcp)];
      for (const round of numbers(0, 3)) {
        await reader.subscribe(topic, round);
        await publisher.request("SEND", { destination: topic }, round);
        assert.equal((await reader.expect("MESSAGE")).text, round);
        await reader.request("UNSUBSCRIBE", { id: round });
        await sleep(980 + 12 * i); // it is let go after 1000 to 1100 ms
      }
      reader.drop();
      publisher.drop();
    };
    await Promise.all(Array.from({ length: 12 }, (_, i) => comeBack(i)));
  });
});

describe("A user", () => {
  test("gets private messages on all sessions, whichever node they are on, and nobody else does", async () => {
    const alices = await Promise.all([a, b, b].map((node) => connect(node, overWebSocket, ALICE)));
    const bob = await connect(c, overTcp, BOB);
    const nameless = await connect(b, overTcp);
    const sessions = [...alices, bob, nameless];
    await Promise.all(sessions.map((session) => session.subscribe("/user/queue/notes")));
    for (const number of numbers(0, 50)) {
      bob.send("SEND", { destination: "/user/alice/queue/notes" }, number);
    }
    for (const alice of alices) {
      assert.deepEqual(await heardUntil(alice, "49"), numbers(0, 50));
      assert.equal(alice.frames[0].headers.destination, "/user/queue/notes");
    }
    await bob.request("SEND", { destination: "/user/bob/queue/notes" }, "to myself");
    assert.deepEqual(await heardUntil(bob, "to myself"), ["to myself"]);
    assert.deepEqual(nameless.frames, []);
    sessions.forEach((session) => session.drop());
  });

  test("one session only, by its id", async () => {
    const alices = await Promise.all([a, b, b, c].map((node) => connect(node, overWebSocket, ALICE)));
    const bob = await connect(c, overTcp, BOB);
    await Promise.all(alices.map((alice) => alice.subscribe("/user/queue/notes")));
    for (const [i, alice] of alices.entries()) {
      const { session } = alice.connected.headers;
      await bob.request("SEND", { destination: "/user/alice/queue/notes", session }, `for session ${i}`);
    }
    await bob.request("SEND", { destination: "/user/alice/queue/notes" }, "for all");
    for (const [i, alice] of alices.entries()) {
      assert.deepEqual(await heardUntil(alice, "for all"), [`for session ${i}`, "for all"]);
      assert.equal(alice.frames[0].headers.session, undefined);
      alice.drop();
    }
    bob.drop();
  });

  test("only nodes where the user has such a subscription hear of it", async () => {
    const carol = await connect(b, overTcp, CAROL);
    await connect(c, overTcp, CAROL).then((other) => other.drop());
    await carol.subscribe("/user/queue/notes");
    assert.equal(await subscribers("stompd:u:carol"), 1);
    carol.drop();
    await eventually("the channel to be let go", async () => (await subscribers("stompd:u:carol")) === 0);
  });

  test("a name with / and % is found by its escaped form", async () => {
    const dave = await connect(b, overTcp, { login: "dave/o%", passcode: "daves" });
    const bob = await connect(a, overTcp, BOB);
    await dave.subscribe("/user/queue/notes");
    await bob.request("SEND", { destination: "/user/dave%2Fo%25/queue/notes" }, "hello");
    assert.equal((await dave.expect("MESSAGE")).text, "hello");
    assert.equal((await sessionsOf(c, "dave/o%")).length, 1);
    dave.drop();
    bob.drop();
  });
});

describe("The registry", () => {
  test("every node knows who is online, where, and with how many sessions", async () => {
    const sessions = await Promise.all([a, b, b, c].map((node) => connect(node, overTcp, CAROL)));
    const ids = sessions.map(({ connected }) => connected.headers.session).sort();
    for (const node of [a, b, c]) {
      await eventually("carol's four sessions", async () => (await onlineUsers(node)).carol === 4);
      assert.deepEqual((await sessionsOf(node, "carol")).sort(), ids);
    }
    sessions.slice(1).forEach((session) => session.drop());
    await eventually("one to be left", async () => (await sessionsOf(a, "carol")).length === 1);
    await sessions[0].request("DISCONNECT");
    for (const node of [a, b, c]) {
      await eventually("carol to be gone", async () => (await onlineUsers(node)).carol === undefined);
      assert.deepEqual(await sessionsOf(node, "carol"), []);
    }
  });

  test("is in Redis as documented, for other programs to read", async () => {
    const session = await connect(b, overTcp, CAROL);
    const id = session.connected.headers.session;
    const members = () => cluster.redis.command("SMEMBERS", "stompd:user:carol");
    await eventually("carol's set", async () => (await members())[0] === id);
    assert.notEqual(await cluster.redis.command("ZSCORE", "stompd:users", "carol"), null);
    session.drop();
    await eventually("no set", async () => (await cluster.redis.command("EXISTS", "stompd:user:carol")) === 0);
    assert.equal(await cluster.redis.command("ZSCORE", "stompd:users", "carol"), null);
  });

  test("nameless sessions are not in it", async () => {
    const session = await connect(b, overTcp);
    const carol = await connect(b, overTcp, CAROL);
    await eventually("carol", async () => (await onlineUsers(a)).carol === 1);
    assert.deepEqual(Object.keys(await onlineUsers(a)), ["carol"]);
    session.drop();
    carol.drop();
  });

  test("all nodes are listed by each", async () => {
    for (const node of [a, b, c]) {
      await eventually("all nodes", async () => (await nodesAlive(node)).join() === "node-a,node-b,node-c");
    }
  });
});

describe("What does not belong on our channels", () => {
  test("is dropped, and what follows is heard", async () => {
    const topic = freshTopic();
    const [reader, publisher] = [await connect(b, overTcp, ALICE), await connect(a, overTcp)];
    await reader.subscribe(topic);
    await reader.subscribe("/user/queue/notes", "1");
    // The first have a good front: of node-a's boot, far ahead of all that it sends.
    const { boot } = (await askApi(b, "nodes")).find(({ node }) => node === "node-a");
    const front = Buffer.concat([Buffer.from([1, 1, boot.length, 0x7f, 255, 255, 255, 255, 255, 255, 255]), Buffer.from(boot)]);
    const garbage = [Buffer.concat([front, Buffer.from("junk")]), front, "", "\0", "hello", Buffer.alloc(3, 255), Buffer.from([1]), Buffer.from([1, 1, 0, 0]), Buffer.alloc(70_000, 1)];
    for (const channel of [`stompd:t:${topic}`, "stompd:n:node-b", "stompd:u:alice"]) {
      for (const payload of garbage) {
        await cluster.redis.command("PUBLISH", channel, payload);
      }
    }
    await publisher.request("SEND", { destination: topic }, "after all that");
    assert.deepEqual(await heardUntil(reader, "after all that"), ["after all that"]);
    assert.equal((await ask(b, "/readyz")).status, 200);
    reader.drop();
    publisher.drop();
  });
});
