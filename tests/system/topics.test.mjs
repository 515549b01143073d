// Topics: patterns, many subscribers over several connections, order, and what a SUBSCRIBE's RECEIPT is worth. With
// several workers the sessions are spread over them.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { useDaemon } from "./lib/daemon.mjs";
import { connect, freshTopic, overTcp, overWebSocket, TRANSPORTS } from "./lib/transports.mjs";

const daemon = useDaemon();

/** So many sessions, every other one over TCP. */
function connectMany(count) {
  return Promise.all(Array.from({ length: count }, (_, i) => connect(daemon, TRANSPORTS[i % 2])));
}

function dropAll(...sessions) {
  sessions.flat().forEach((session) => session.drop());
}

describe("Patterns", () => {
  // Each line: the pattern, what it matches, what it does not; all below a topic of its own.
  const rows = [
    ["a", ["a"], ["a.b", "b", "A"]],
    ["a.b", ["a.b"], ["a/b"]],
    ["a/b", ["a/b"], ["a.b"]],
    ["*", ["a", "b"], ["a.b", "a/b"]],
    ["a.*", ["a.b", "a/b"], ["a", "a.b.c", "b.a"]],
    ["a/*", ["a.b", "a/b"], ["a", "a/b/c"]],
    ["*.b", ["a.b", "c/b"], ["a", "a.c", "x.a.b"]],
    ["a.*.c", ["a.b.c", "a/b/c", "a.b/c"], ["a.c", "a.b.b.c"]],
    ["**", ["a", "a.b", "a/b/c"], []],
    ["a.**", ["a", "a.b", "a/b.c"], ["b", "ab"]],
    ["**.z", ["z", "a.z", "a/b/z"], ["z.a", "az"]],
    ["a.**.z", ["a.z", "a.b.z", "a/b/c/z"], ["a", "a.b", "z"]],
    ["**.b.**", ["b", "a.b", "b.c", "a/b/c"], ["a", "a.c"]],
    ["*.**", ["a", "a.b"], []],
    ["a.#", ["a", "a.b", "a/b/c"], ["b"]],
    ["a.>", ["a", "a.b", "a/b/c"], ["b"]],
    ["#", ["a", "a/b"], []],
    ["a*", ["a*"], ["a", "ab"]],
    ["a.#.c", ["a.#.c"], ["a.b.c", "a.c"]],
  ];
  const sent = [...new Set(rows.flatMap(([, matched, others]) => [...matched, ...others]))];

  for (const transport of TRANSPORTS) {
    for (const [pattern, matched, others] of rows) {
      test(`${pattern} over ${transport.name}`, async () => {
        const session = await connect(daemon, transport);
        const root = freshTopic();
        await session.subscribe(`${root}/${pattern}`);
        for (const rest of [...matched, ...others]) {
          session.send("SEND", { destination: `${root}/${rest}` });
        }
        await session.request("SEND", { destination: freshTopic() });
        assert.deepEqual(
          session.frames.map(({ headers }) => headers.destination),
          matched.map((rest) => `${root}/${rest}`),
        );
        session.drop();
      });
    }
  }

  test("all of them together, from another session: each subscription gets its own copies, no other's", async () => {
    const [subscriber, publisher] = await connectMany(2);
    const root = freshTopic();
    await Promise.all(rows.map(([pattern], i) => subscriber.subscribe(`${root}/${pattern}`, String(i))));
    await subscriber.subscribe(`${root}.end`, "end");
    for (const rest of sent) {
      publisher.send("SEND", { destination: `${root}/${rest}` }, rest);
    }
    publisher.send("SEND", { destination: `${root}.end` });
    await subscriber.expect({ command: "MESSAGE", subscription: "end" });
    for (const [i, [pattern, matched, others]] of rows.entries()) {
      const got = subscriber.frames.filter(({ headers }) => headers.subscription === String(i)).map(({ text }) => text);
      for (const rest of matched) {
        assert.equal(got.filter((text) => text === rest).length, 1, `${pattern} gets ${rest} once`);
      }
      assert.deepEqual(
        got.filter((text) => others.includes(text)),
        [],
        `${pattern} gets no other`,
      );
    }
    dropAll(subscriber, publisher);
  });

  for (const transport of TRANSPORTS) {
    test(`destinations that were matched before see what is added and removed, over ${transport.name}`, async () => {
      const session = await connect(daemon, transport);
      const root = freshTopic();
      const receivers = async () => {
        await session.request("SEND", { destination: `${root}/a` });
        return session.frames.splice(0).map(({ headers }) => headers.subscription);
      };
      assert.deepEqual(await receivers(), []);
      await session.subscribe(`${root}/a`, "exact");
      assert.deepEqual(await receivers(), ["exact"]);
      await session.subscribe(`${root}/*`, "one");
      assert.deepEqual((await receivers()).sort(), ["exact", "one"]);
      await session.subscribe(`${root}/**`, "many");
      assert.deepEqual((await receivers()).sort(), ["exact", "many", "one"]);
      await session.request("UNSUBSCRIBE", { id: "one" });
      assert.deepEqual((await receivers()).sort(), ["exact", "many"]);
      await session.request("UNSUBSCRIBE", { id: "exact" });
      assert.deepEqual(await receivers(), ["many"]);
      await session.request("UNSUBSCRIBE", { id: "many" });
      assert.deepEqual(await receivers(), []);
      session.drop();
    });
  }

  test("another session's later pattern is seen too", async () => {
    const [early, late, publisher] = await connectMany(3);
    const topic = `${freshTopic()}/a`;
    await early.subscribe(topic);
    publisher.send("SEND", { destination: topic }, "1");
    await early.expect("MESSAGE");
    await late.subscribe(topic.replace(/a$/, "*"));
    publisher.send("SEND", { destination: topic }, "2");
    assert.equal((await late.expect("MESSAGE")).text, "2");
    assert.equal((await early.expect("MESSAGE")).text, "2");
    dropAll(early, late, publisher);
  });

  test("two subscriptions to one destination get two copies, with one message-id", async () => {
    const session = await connect(daemon, overWebSocket);
    const topic = freshTopic();
    await session.subscribe(topic, "a");
    await session.subscribe(topic, "b");
    session.send("SEND", { destination: topic });
    const copies = [
      await session.expect({ command: "MESSAGE", subscription: "a" }),
      await session.expect({ command: "MESSAGE", subscription: "b" }),
    ];
    assert.equal(copies[0].headers["message-id"], copies[1].headers["message-id"]);
    session.drop();
  });
});

describe("Fan-out", () => {
  test("each of many subscriptions gets each message exactly once, in its publisher's order", async () => {
    const [subscribers, publishers] = [await connectMany(12), await connectMany(3)];
    const root = freshTopic();
    const ways = [`${root}/x`, `${root}/*`, `${root}/**`, `${root}.x`];
    await Promise.all(subscribers.flatMap((session) => ways.map((way, i) => session.subscribe(way, String(i)))));
    const each = 100;
    for (let n = 0; n < each; n++) {
      publishers.forEach((publisher, i) =>
        publisher.send("SEND", { destination: `${root}/x`, publisher: i }, String(n)),
      );
    }
    const expected = Array.from({ length: each }, (_, n) => String(n));
    for (const session of subscribers) {
      await session.waitFor("all messages", () => session.frames.length >= each * publishers.length * 3);
      for (const id of ["0", "1", "2"]) {
        for (let i = 0; i < publishers.length; i++) {
          const copies = session.frames.filter(
            ({ headers }) => headers.subscription === id && headers.publisher === String(i),
          );
          assert.deepEqual(
            copies.map(({ text }) => text),
            expected,
          );
        }
      }
      assert.equal(session.frames.length, each * publishers.length * 3);
    }
    dropAll(subscribers, publishers);
  });

  test("on WebSocket a body of UTF-8 comes as text, any other as binary", async () => {
    const session = await connect(daemon, overWebSocket);
    const topic = freshTopic();
    await session.subscribe(topic);
    session.send("SEND", { destination: topic }, Buffer.from("tëxt"));
    await session.expect("MESSAGE");
    assert.equal(session.binaryMessages, 0);
    session.send("SEND", { destination: topic }, Buffer.from([0xc3, 0x28]));
    await session.expect("MESSAGE");
    assert.equal(session.binaryMessages, 1);
    session.drop();
  });

  test("a message of 200 KB arrives whole over both transports", async () => {
    const sessions = await connectMany(2);
    const topic = freshTopic();
    const body = Buffer.alloc(200_000, "0123456789abcdef\0");
    for (const session of sessions) {
      await session.subscribe(topic);
    }
    for (const session of sessions) {
      session.send("SEND", { destination: topic }, body);
    }
    for (const session of [...sessions, ...sessions]) {
      assert.deepEqual((await session.expect("MESSAGE")).body, body);
    }
    dropAll(sessions);
  });
});

describe("A live subscription", () => {
  let subscribers;
  let publishers;
  before(async () => {
    subscribers = await connectMany(8);
    publishers = await connectMany(5);
  });
  after(() => dropAll(subscribers, publishers));

  test("from the SUBSCRIBE's RECEIPT on every message arrives, whoever sends it", async () => {
    for (let round = 0; round < 150; round++) {
      const subscriber = subscribers[round % subscribers.length];
      const publisher = publishers[round % publishers.length];
      const topic = freshTopic();
      const pattern = round % 2 === 0 ? topic : `${topic}.**`;
      await subscriber.subscribe(pattern, topic);
      publisher.send("SEND", { destination: topic }, String(round));
      assert.equal((await subscriber.expect({ command: "MESSAGE", subscription: topic })).text, String(round));
    }
  });

  test("subscribe-then-request in one piece never loses the answer, whichever connection it comes by", async () => {
    const requests = freshTopic();
    const responder = await connect(daemon, overTcp);
    await responder.subscribe(requests);
    for (let round = 0; round < 100; round++) {
      const asker = subscribers[round % subscribers.length];
      const replies = freshTopic();
      asker.send("SUBSCRIBE", { id: replies, destination: replies });
      asker.send("SEND", { destination: requests, "reply-to": replies });
      const { headers } = await responder.expect("MESSAGE");
      publishers[round % publishers.length].send("SEND", { destination: headers["reply-to"] });
      await asker.expect({ command: "MESSAGE", subscription: replies });
    }
    responder.drop();
  });

  test("after the UNSUBSCRIBE's RECEIPT no message of it arrives, whoever is sending", async () => {
    const topic = freshTopic();
    const [subscriber] = subscribers;
    let sending = true;
    const busy = publishers.map(async (publisher) => {
      while (sending) {
        await publisher.request("SEND", { destination: topic });
      }
    });
    for (let round = 0; round < 30; round++) {
      const id = `round-${round}`;
      await subscriber.subscribe(topic, id);
      await subscriber.expect({ command: "MESSAGE", subscription: id });
      await subscriber.request("UNSUBSCRIBE", { id });
      subscriber.frames.length = 0;
      await subscriber.request("SEND", { destination: freshTopic() });
      assert.deepEqual(subscriber.frames, []);
    }
    sending = false;
    await Promise.all(busy);
  });
});
