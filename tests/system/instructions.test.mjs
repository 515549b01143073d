// That the gate on instruction counts closes: bench/instructions_compare.mjs, with counts made up here.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { compare, readCallgrind } from "../../bench/instructions_compare.mjs";

const CALLGRIND = `version: 1
positions: line
events: Ir
summary: 1300

ob=/opt/stompd/build/instructions
fl=/opt/stompd/src/stomp/writer.c
fn=put_header
0 600
cob=/lib/libc.so.6
cfi=???
cfn=memcpy@GLIBC_2.2.5
calls=10 0
0 400
fi=/opt/stompd/include/stompd/base/bytes.h
0 200

fn=put_header.part.0
0 98

fn=too_small_to_keep
0 2

ob=/lib/libc.so.6
fl=???
fn=memcpy@GLIBC_2.2.5
0 300

fn=0x00000000000a1b20
0 100

totals: 1300
`;

const before = { write: { total: 1000, functions: { "writer.c:put_header": 600, "escape.c:stomp_escape": 300 } } };

describe("instruction counts", () => {
  test("a function has what it took itself, not what it called", () => {
    assert.deepEqual(readCallgrind(CALLGRIND, 10), {
      total: 130,
      functions: { "writer.c:put_header": 89.8, memcpy: 30, "(libc.so.6)": 10 },
    });
  });

  test("up to 5 % more is no failure", () => {
    const [result] = compare(before, { write: { total: 1050, functions: { "writer.c:put_header": 650 } } });
    assert.equal(result.isKept, true);
    assert.equal(result.verdict, "as before");
  });

  test("more than that fails and names what has grown, most first", () => {
    const functions = { "writer.c:put_header": 610, "escape.c:stomp_escape": 340, "utf8.c:utf8_is_valid": 60, malloc: 4 };
    const [result] = compare(before, { write: { total: 1051, functions } });
    assert.equal(result.isKept, false);
    assert.equal(result.verdict, "dearer");
    assert.deepEqual(result.grown, [
      { name: "utf8.c:utf8_is_valid", before: undefined, now: 60 },
      { name: "escape.c:stomp_escape", before: 300, now: 340 },
      { name: "writer.c:put_header", before: 600, now: 610 },
    ]);
  });

  test("less is no failure, and said", () => {
    const [result] = compare(before, { write: { total: 940, functions: {} } });
    assert.equal(result.isKept, true);
    assert.equal(result.verdict, "cheaper");
  });

  test("what was not compared fails: a scenario that is new or gone, and all of a compiler that nothing is known of", () => {
    assert.deepEqual(
      compare(before, { match: { total: 10, functions: {} } }).map(({ name, isKept }) => [name, isKept]),
      [
        ["match", false],
        ["write", false],
      ],
    );
    assert.equal(compare({}, before).every(({ isKept }) => !isKept), true);
  });
});
