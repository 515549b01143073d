// A self-signed certificate for 127.0.0.1, made with openssl for the tests of one file.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after } from "node:test";

/** Gives the two conf keys of a listener, and `ca` for clients. */
export function useCertificate() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "stompd-tls-"));
  after(() => fs.rmSync(folder, { recursive: true }));
  const [certificate, key] = ["certificate.pem", "key.pem"].map((name) => path.join(folder, name));
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync("openssl", ["req", ...kind, ...names, "-keyout", key, "-out", certificate], { stdio: "pipe" });
  return { conf: { "tls-certificate": certificate, "tls-key": key }, ca: fs.readFileSync(certificate) };
}
