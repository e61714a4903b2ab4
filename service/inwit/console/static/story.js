// Checks a response's entries against the log in this browser: hashes and proofs of RFC 9162, and
// the signed note of a checkpoint as C2SP has it. What the server says of them counts for nothing
// here; only the bytes that it sent are taken, and what the reader gives.

const data = JSON.parse(document.getElementById("proof-data").dataset.given);
const subtle = globalThis.crypto?.subtle;

const EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; // the root of a tree without leaves
const DASH = "\u2014 ";
const NAME = /^[!-*,-~]{1,128}$/;
const LOOKS = { good: "\u2713", warn: "\u2026", bad: "\u2717" };

class Unfit extends Error {} // what was given is not a key, or not a checkpoint

// ---- Bytes ----

const utf8 = (text) => new TextEncoder().encode(text);
const same = (one, other) => one.length === other.length && one.every((each, at) => each === other[at]);
const hex = (bytes) => [...bytes].map((each) => each.toString(16).padStart(2, "0")).join("");

function joined(...parts) {
  const all = new Uint8Array(parts.reduce((length, each) => length + each.length, 0));
  let at = 0;
  for (const each of parts) {
    all.set(each, at);
    at += each.length;
  }
  return all;
}

// Base64 in the one form that stands for these bytes.
function decoded(text) {
  let raw = null;
  try {
    raw = atob(text);
  } catch {
    // said below
  }
  if (raw === null || btoa(raw) !== text) throw new Unfit("it holds something that is not base64");
  return Uint8Array.from(raw, (each) => each.charCodeAt(0));
}

const sha256 = async (bytes) => new Uint8Array(await subtle.digest("SHA-256", bytes));
const leafHash = (body) => sha256(joined([0], body));
const nodeHash = (left, right) => sha256(joined([1], left, right));

// ---- The tree (RFC 9162, 2.1.3.2 and 2.1.4.2). Places are below 2^53, so no bit operators. ----

const odd = (number) => number % 2 === 1;
const half = (number) => Math.floor(number / 2);

// The root to which a proof leads from a leaf; null where the proof does not fit the place.
async function rootFrom(leaf, index, size, proof) {
  if (index < 0 || index >= size) return null;
  let [at, last, found] = [index, size - 1, leaf];
  for (const each of proof) {
    if (last === 0 || each.length !== 32) return null;
    if (odd(at) || at === last) {
      found = await nodeHash(each, found);
      while (!odd(at) && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      found = await nodeHash(found, each);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 ? found : null;
}

// Whether the proof shows that the tree of one checkpoint begins with that of another.
async function goesOn(old, later, proof) {
  if (old.size === later.size) return proof.length === 0 && same(old.root, later.root);
  if (old.size === 0) return proof.length === 0 && same(old.root, decoded(EMPTY));
  let [at, last] = [old.size - 1, later.size - 1];
  while (odd(at)) [at, last] = [half(at), half(last)];
  const path = at === 0 ? [old.root, ...proof] : [...proof];
  if (!path.length || path.some((each) => each.length !== 32)) return false;
  let [first, second] = [path[0], path[0]];
  for (const each of path.slice(1)) {
    if (last === 0) return false;
    if (odd(at) || at === last) {
      first = await nodeHash(each, first);
      second = await nodeHash(each, second);
      while (!odd(at) && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      second = await nodeHash(second, each);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 && same(first, old.root) && same(second, later.root);
}

// ---- Keys and notes (C2SP signed-note, tlog-checkpoint) ----

async function keyOf(text) {
  const [name, id, ...rest] = text.split("+");
  const bytes = decoded(rest.join("+"));
  if (!NAME.test(name) || bytes.length !== 33 || bytes[0] !== 1) throw new Unfit("it is not NAME+ID+BASE64 of an Ed25519 key");
  const digest = await sha256(joined(utf8(`${name}\n`), bytes));
  if (hex(digest.slice(0, 4)) !== id) throw new Unfit("its id is not that of its name and bytes");
  return { name, id, public: bytes.slice(1) };
}

function noteOf(text) {
  const end = text.lastIndexOf("\n\n");
  const [origin, size, root] = text.slice(0, Math.max(0, end)).split("\n");
  if (end < 0 || !text.endsWith("\n") || !NAME.test(origin) || root === undefined) throw new Unfit("it is not a signed checkpoint");
  if (!/^(0|[1-9][0-9]{0,14})$/.test(size)) throw new Unfit("it does not say how many entries it covers");
  const note = { origin, size: Number(size), root: decoded(root), text: utf8(text.slice(0, end + 1)) };
  if (note.root.length !== 32) throw new Unfit("its root has not 32 bytes");
  note.signatures = text.slice(end + 2, -1).split("\n").map(signatureOf);
  return note;
}

function signatureOf(line) {
  const [name, text] = line.slice(DASH.length).split(" ");
  if (!line.startsWith(DASH) || !text) throw new Unfit("one of its signatures cannot be read");
  const bytes = decoded(text);
  return { name, id: hex(bytes.slice(0, 4)), signature: bytes.slice(4) };
}

// "yes", "no", or "unknown" where this browser knows no Ed25519.
async function signedBy(note, key) {
  const own = note.signatures.filter((each) => each.name === key.name && each.id === key.id);
  if (note.origin !== key.name || own.length !== 1) return "no";
  try {
    const held = await subtle.importKey("raw", key.public, { name: "Ed25519" }, false, ["verify"]);
    return (await subtle.verify({ name: "Ed25519" }, held, own[0].signature, note.text)) ? "yes" : "no";
  } catch (error) {
    return error.name === "NotSupportedError" ? "unknown" : "no";
  }
}

// One of the keys is enough: "yes" with it, else "unknown" or "no".
async function signer(note, keys) {
  let found = { signed: "no" };
  for (const key of keys) {
    const signed = await signedBy(note, key);
    if (signed === "yes") return { signed, key };
    if (signed === "unknown") found = { signed };
  }
  return found;
}

// ---- What is checked ----

// Of the page's keys those that can be read; of the reader's, the one or none.
async function keysOf(own) {
  if (own) return [await keyOf(own)];
  const found = await Promise.allSettled(data.keys.map(keyOf));
  return found.filter((each) => each.status === "fulfilled").map((each) => each.value);
}

async function checkpointOf(keys, own) {
  if (!data.checkpoint) return { note: null, line: ["warn", "No checkpoint covers the log yet."] };
  let note;
  try {
    note = noteOf(data.checkpoint);
  } catch (error) {
    return { note: null, why: "the log\u2019s checkpoint cannot be read", line: ["bad", `The log\u2019s checkpoint does not hold: ${error.message}.`] };
  }
  const whose = own ? "the key that you gave" : "a key that the log itself names";
  const { signed, key } = await signer(note, keys);
  const name = `The checkpoint over the first ${note.size} entries`;
  if (signed === "yes") return { note, line: ["good", `${name} is signed by ${whose}: ${key.name}+${key.id}.`] };
  if (signed === "unknown") return { note, unsigned: true, line: ["warn", `${name}: its signature could not be checked here, since this browser knows no Ed25519.`] };
  const why = `the checkpoint is not signed by ${whose}`;
  return { note, why, line: ["bad", `${name} does not hold: it is not signed by ${whose}.`] };
}

// Whether the log goes on from what the reader kept; `size` is how far that reaches.
async function keptOf(text, keys, log) {
  if (!text) return { size: 0 };
  const whole = text.includes("\n") ? text : new TextDecoder().decode(decoded(text)); // a header's is in base64
  const kept = noteOf(`${whole.trim()}\n`);
  const name = `Your checkpoint over ${kept.size} entries`;
  const failed = (why) => ({ size: 0, why, line: ["bad", `${name} does not hold: ${why}.`] });
  if (!log) return failed("there is no checkpoint here to compare it with");
  if (kept.origin !== log.origin) return failed("it is one of another log");
  const { signed } = await signer(kept, keys);
  if (signed === "no") return failed("it is not signed by the key");
  const [old, later] = kept.size <= log.size ? [kept, log] : [log, kept];
  const proof = await consistency(old.size, later.size);
  if (!proof) return failed("the server has no proof that this log goes on from it; reload the page, and if it stays so, entries are missing");
  if (!(await goesOn(old, later, proof))) return failed("this log is not the one that it was signed for");
  const more = signed === "unknown" ? ", whose signature could not be checked here" : "";
  return { size: kept.size, line: [more ? "warn" : "good", `The log is the one of your checkpoint over ${kept.size} entries${more}.`] };
}

async function consistency(old, later) {
  if (old === later || old === 0) return [];
  const answer = await fetch(`${data.consistency}?old=${old}&new=${later}`);
  return answer.ok && !answer.redirected ? (await answer.json()).proof.map(decoded) : null;
}

// One entry: how it stands, in a word and why.
async function standing(entry, log, kept) {
  const body = entry.body === null ? null : decoded(entry.body);
  if (body && !says(body, entry.sequence)) return ["bad", "does not hold", "these bytes are not an entry of this response at this place"];
  if (log.why) return ["bad", "does not hold", log.why];
  if (!log.note || entry.sequence > log.note.size) return ["warn", "not yet covered", "no checkpoint reaches this far"];
  if (!entry.proof) return ["bad", "does not hold", "the log lacks hashes that its proof needs"];
  const leaf = body ? await leafHash(body) : decoded(entry.hash);
  const root = await rootFrom(leaf, entry.sequence - 1, log.note.size, entry.proof.map(decoded));
  if (!root || !same(root, log.note.root)) return ["bad", "does not hold", "its bytes do not lead to the checkpoint\u2019s root"];
  if (kept.why) return ["bad", "does not hold", "your checkpoint speaks against this log"];
  const under = entry.sequence <= kept.size ? ", and under your checkpoint" : "";
  const way = `${body ? "its bytes lead" : "its hash leads"} to the ${log.unsigned ? "checkpoint\u2019s" : "signed"} root${under}`;
  const unsigned = log.unsigned ? "; who signed that could not be checked here" : "";
  if (!body) return ["warn", "only its hash", `${way}${unsigned}; that it is one of this response, and that its bytes were pruned, is the server\u2019s word`];
  return log.unsigned ? ["warn", "signature not checked", `${way}${unsigned}`] : ["good", "in the log", way];
}

function says(body, sequence) {
  try {
    const facts = JSON.parse(new TextDecoder().decode(body));
    return facts.sequence === sequence && facts.response === data.response;
  } catch {
    return false;
  }
}

// ---- The page ----

const shown = (id) => document.getElementById(id);

function element(name, className, ...inside) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...inside);
  return made;
}

function tag(look, words) {
  const sign = element("span", "", LOOKS[look]);
  sign.setAttribute("aria-hidden", "true");
  return element("span", `tag ${look}`, sign, ` ${words}`);
}

function told(entry, [look, words, why]) {
  const item = shown(`entry-${entry.sequence}`);
  item.classList.toggle("changed", look === "bad");
  item.querySelector("[data-proof]").replaceChildren(tag(look, look === "bad" ? `${words}: ${why}` : words), look === "bad" ? "" : ` ${why}`);
  item.querySelector("details")?.remove();
  if (look !== "bad" && entry.body !== null) item.append(exactBytes(decoded(entry.body)));
}

function exactBytes(body) {
  const text = element("pre", "bytes", visible(new TextDecoder().decode(body)));
  return element("details", "", element("summary", "", "Its exact bytes"), text);
}

// Entries are ASCII; whatever else stands there is written out.
const visible = (text) => text.replace(/[^ -~]/gu, (each) => `\\u{${each.codePointAt(0).toString(16)}}`);

function summed(standings, lines) {
  const count = (look) => standings.filter((each) => each[0] === look).length;
  const all = `${standings.length} ${standings.length === 1 ? "entry" : "entries"} here`;
  const parts = [`Checked in this browser: ${count("good")} of ${all} ${count("good") === 1 ? "is" : "are"} in the log`];
  for (const words of new Set(standings.filter(([look]) => look === "warn").map((each) => each[1]))) {
    parts.push(`${words}: ${standings.filter((each) => each[1] === words).length}`);
  }
  if (count("bad")) parts.push(`${count("bad")} ${count("bad") === 1 ? "does" : "do"} not hold`);
  const looks = [...standings.map((each) => each[0]), ...lines.map((each) => each[0])];
  const worst = ["bad", "warn"].find((each) => looks.includes(each)) || "good";
  const list = element("ul", "", ...lines.map(([look, words]) => element("li", "", `${LOOKS[look]} ${words}`)));
  const said = shown("proof-said");
  said.className = `notice ${worst}`;
  said.replaceChildren(element("p", "", element("strong", "", `${parts.join(", ")}.`)), list);
}

// Says what is wrong with a field, or that nothing is.
function field(name, problem) {
  shown(`${name}-problem`).textContent = problem;
  if (problem) shown(name).setAttribute("aria-invalid", "true");
  else shown(name).removeAttribute("aria-invalid");
}

async function fit(name, what, work) {
  field(name, "");
  try {
    return await work(shown(name).value.trim());
  } catch (error) {
    if (!(error instanceof Unfit)) throw error;
    field(name, `This is not a ${what}: ${error.message}.`);
    shown(name).focus();
    unchecked();
    return null;
  }
}

// Nothing that an earlier check found is left standing beside what cannot be checked.
function unchecked() {
  const standings = data.entries.map(() => ["warn", "not checked", "what you gave cannot be read"]);
  data.entries.forEach((each, at) => told(each, standings[at]));
  const said = shown("proof-said");
  said.className = "notice warn";
  said.replaceChildren(element("p", "", element("strong", "", "Not checked: what you gave cannot be read.")));
}

async function check() {
  const own = shown("own-key").value.trim();
  const keys = await fit("own-key", "key of a log", keysOf);
  if (!keys) return;
  const log = await checkpointOf(keys, own);
  const kept = await fit("own-checkpoint", "checkpoint", (text) => keptOf(text, keys, log.note));
  if (!kept) return;
  const standings = await Promise.all(data.entries.map((each) => standing(each, log, kept)));
  data.entries.forEach((each, at) => told(each, standings[at]));
  summed(standings, [log.line, kept.line].filter(Boolean));
}

function unable(words) {
  const said = shown("proof-said");
  said.className = "notice warn";
  said.prepend(element("p", "", element("strong", "", `Not checked in this browser: ${words}. `)));
}

async function begin() {
  if (!subtle) return unable("it does so over https or on this machine alone");
  shown("proof-own").hidden = false;
  shown("proof-form").addEventListener("submit", (event) => {
    event.preventDefault();
    check().catch(() => unable("the check broke off; reload the page"));
  });
  await check().catch(() => unable("the check broke off; reload the page"));
}

begin();
