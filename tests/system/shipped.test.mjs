// What is shipped beside the daemon is tried as far as it can be without Docker and systemd: conf files are free of
// faults, the two for HAProxy say the same, and the image has what the daemon needs.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";

import { PROGRAM } from "./lib/daemon.mjs";

const read = (file) => fs.readFileSync(file, "utf8");

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "stompd-shipped-"));
after(() => fs.rmSync(folder, { recursive: true }));

/** The folder with the page is somewhere else on each machine. */
function checkConf(file) {
  const copy = path.join(folder, path.basename(file));
  fs.writeFileSync(copy, read(file).replace(/^(files +=).*$/m, `$1 ${folder}`));
  execFileSync(PROGRAM, ["-t", "-c", copy], { stdio: "pipe" });
}

describe("Conf files of the daemon", () => {
  for (const file of ["conf/demo.conf", "conf/cluster-a.conf", "conf/cluster-b.conf", "docker/stompd.conf"]) {
    test(`${file} is free of faults`, () => checkConf(file));
  }
});

/** Its directives, in their sections, without what depends on the place. */
function directives(file) {
  const found = [];
  let section;
  for (const line of read(file).split("\n")) {
    const text = line.replace(/#.*/, "").trim().replace(/\s+/g, " ");
    if (/^\S/.test(line) && text !== "") {
      section = text;
    } else if (text !== "" && !/^(bind|server|log) /.test(text)) {
      found.push(`${section}: ${text}`);
    }
  }
  return found;
}

describe("HAProxy", () => {
  test("docker/haproxy.cfg is free of faults and warnings", () => {
    execFileSync("haproxy", ["-c", "-dW", "-f", "docker/haproxy.cfg"], { stdio: "pipe" });
  });

  test("docker/haproxy.cfg has all settings of conf/haproxy.cfg, which is the one that is tested", () => {
    const inDocker = directives("docker/haproxy.cfg");
    assert.deepEqual(
      directives("conf/haproxy.cfg").filter((directive) => !inDocker.includes(directive)),
      [],
    );
  });
});

describe("The image", () => {
  const dockerfile = read("docker/Dockerfile");
  const [build, , run] = dockerfile.split(/^FROM /m).slice(1);
  const packagesOf = (stage) => {
    const [, names] = /--no-install-recommends([^&\n]*)/.exec(stage.replace(/\\\n/g, " "));
    return names.trim().split(/\s+/).sort();
  };

  test("is built with the packages that `./dev` builds with", () => {
    const inDev = /build_packages=\(([^)]*)\)/.exec(read("dev"))[1].trim().split(/\s+/).sort();
    assert.deepEqual(packagesOf(build), inDev);
  });

  test("has the package of every library that the layers name", () => {
    // pkg-config's name of each, and the package with its library in Debian 12.
    const packages = {
      libwebsockets: "libwebsockets17",
      openssl: "libssl3",
      zlib: "zlib1g",
      libuv: "libuv1",
      libevent: "libevent-2.1-7",
      inih: "libinih1",
      hiredis: "libhiredis0.14",
      jansson: "libjansson4",
      libsystemd: "libsystemd0",
      libcrypt: "libcrypt1",
    };
    const modules = [...read("CMakeLists.txt").matchAll(/^pkg_check_modules\(.* (\S+)\)$/gm)].map(([, name]) => name);
    const wanted = modules.filter((name) => name !== "cmocka").map((name) => packages[name] ?? `the library ${name}`);
    assert.deepEqual(packagesOf(run), [...wanted, "libwebsockets-evlib-uv"].sort());
  });

  test("is built from all folders that CMakeLists.txt takes programs from", () => {
    const folders = [...read("CMakeLists.txt").matchAll(/^add_executable\(\S+ (\w+)\//gm)].map(([, name]) => name);
    assert.ok(folders.includes("src"));
    folders.forEach((name) => assert.match(build, new RegExp(`^COPY ${name} ${name}$`, "m")));
  });

  test("copies only what its .dockerignore lets in", () => {
    const letIn = [...read("docker/Dockerfile.dockerignore").matchAll(/^!(.*)$/gm)].map(([, name]) => name);
    const copies = [...dockerfile.matchAll(/^COPY (?:--chmod=\S+ )?(?!--from)(.*) \S+$/gm)];
    const copied = copies.flatMap(([, names]) => names.split(" "));
    assert.deepEqual([...new Set(copied)].sort(), letIn.sort());
    copied.forEach((name) => assert.ok(fs.existsSync(name), name));
  });

  test("is not root's, and has a health check that runs", () => {
    assert.match(run, /^USER (?!root|0)\w/m);
    assert.match(run, /^HEALTHCHECK .*CMD \["healthcheck"\]$/m);
    execFileSync("bash", ["-n", "docker/healthcheck"]);
  });
});

test("conf/stompd.service waits longer than notice-time, drain-time and node-timeout take by default", () => {
  const unit = read("conf/stompd.service");
  const reference = read("conf/stompd.conf");
  const seconds = (key) => Number(new RegExp(`^#${key} = (\\d+)s$`, "m").exec(reference)[1]);
  const limit = (key) => Number(new RegExp(`^${key}=(\\d+)s$`, "m").exec(unit)[1]);
  assert.ok(limit("TimeoutStopSec") > seconds("notice-time") + seconds("drain-time"));
  assert.ok(limit("TimeoutStartSec") > seconds("node-timeout"));
  const connections = Number(/^#connections = (\d+)$/m.exec(reference)[1]);
  assert.ok(Number(/^LimitNOFILE=(\d+)$/m.exec(unit)[1]) > connections);
});
