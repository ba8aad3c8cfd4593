// Writes cases.jsonl: random JSONLogic expressions, and their truth for each of some profiles as the
// reference implementation has it. Run by hand; README.md says how.

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { jsonLogicAdditionalOperators } from "@react-querybuilder/core";

const jsonLogic = createRequire(import.meta.url)("json-logic-js");
for (const [name, test] of Object.entries(jsonLogicAdditionalOperators)) {
  jsonLogic.add_operation(name, test);
}

const LEAVES = 1400;
const TREES = 1100;
const PROFILES = 72;

// mulberry32: the same cases on every run.
let state = 20261122;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const chance = (share) => random() < share;
const pick = (values) => values[Math.floor(random() * values.length)];
const some = (values, most) =>
  Array.from({ length: 1 + Math.floor(random() * most) }, () => pick(values));

const NUMBERS = [0, 1, 5, 18, 30, 2.5, -1, 1000000];
const TEXTS = ["", "CZ", "cz", "SK", "5", "0", "1.0", " 5 ", "vip", "Česko", "true", "null", "z CZ"];
const INSTANTS = [
  "2026-11-20T10:00:00Z", "2026-11-20T11:00:00+01:00", "2026-11-20T10:00:00.5Z",
  "2026-11-21T00:00:00Z", "2026-01-01T00:00:00Z",
];
const DAYS = ["2026-11-20", "2026-11-21", "1990-02-28", "2026-11-20T10:00:00Z"];
const VERSIONS = ["1.2", "1.10", "v1.2.0", "2.0.0"];
const BOOLEANS = [true, false];
const ITEMS = ["vip", "VIP", "new", "5", 5, 1, 0];
const LISTS = [
  [], ["vip"], ["VIP", "new"], [1, 2], ["1", "5"], [5, "new"], [true], [null, "vip"], ["", "0"],
];
const SCALARS = [...NUMBERS, ...TEXTS, ...BOOLEANS, INSTANTS[0]];

const TYPES = {
  age: "number", spent: "money", vip: "boolean", country: "string", tags: "list",
  seen: "instant", born: "date", app: "version", info: "object",
  "work.title": "string", "work.pay": "number",
};
const POOLS = {
  age: NUMBERS, spent: NUMBERS, vip: BOOLEANS, country: TEXTS, tags: LISTS, seen: INSTANTS,
  born: DAYS, app: VERSIONS, info: [{ k: 1 }, { k: "v", l: [] }],
  a: SCALARS, b: SCALARS, labels: [...LISTS, ...TEXTS, 5, true],
};
const WORK = { title: TEXTS, pay: NUMBERS, code: SCALARS };
const LITERALS = {
  ...POOLS, age: [...NUMBERS, "5"], country: [...TEXTS, 5], "work.title": TEXTS,
  "work.pay": [...NUMBERS, "18"], "work.code": SCALARS, tags: ITEMS,
  labels: ITEMS,
};
const COMPARED = [
  "age", "age", "spent", "vip", "country", "country", "seen", "born", "app", "work.title",
  "work.pay", "work.code", "a", "b",
];
const PLACED = [...NUMBERS, ...NUMBERS, INSTANTS[0], INSTANTS[3]];
const ORDERED = ["age", "age", "spent", "seen", "born", "app", "work.pay", "work.code", "a", "b"];
const TEXTUAL = ["country", "country", "work.title", "a", "b", "labels"];
const LISTED = ["tags", "labels"];
const FIELDS = [...COMPARED, "info", "tags", "labels"];

// Every value of a pool has its turn, as have null and nothing; where a pool begins is random, so
// that fields meet in all ways.
const TURNS = {};
function held(name, pool) {
  const values = [...pool, null, undefined, undefined];
  TURNS[name] = (TURNS[name] ?? Math.floor(random() * values.length)) + 1;
  return chance(0.1) ? undefined : values[TURNS[name] % values.length];
}

function profile() {
  const found = {};
  for (const [name, pool] of Object.entries(POOLS)) {
    const value = held(name, pool);
    if (value !== undefined) found[name] = value;
  }
  const dice = random();
  if (dice < 0.1) found.work = "self-employed";
  else if (dice < 0.8) {
    found.work = {};
    for (const [name, pool] of Object.entries(WORK)) {
      const value = held(`work.${name}`, pool);
      if (value !== undefined) found.work[name] = value;
    }
  }
  return found;
}

function asked(name) {
  if (chance(0.04)) return { var: [name, pick([0, 5, "CZ", true, null])] };
  return { var: chance(0.1) ? [name] : name };
}

const literal = (name) => (chance(0.9) ? pick(LITERALS[name]) : chance(0.5) ? null : pick(SCALARS));
const placed = (name) =>
  TYPES[name] === undefined ? pick(PLACED) : chance(0.97) ? pick(LITERALS[name]) : pick(SCALARS);
const ofKind = (name) => (TYPES[name] === "money" ? "number" : TYPES[name]);

function peer(name, names) {
  const kind = ofKind(name);
  const fits = (other) => !kind || !ofKind(other) || ofKind(other) === kind;
  return pick(names.filter((other) => other !== name && fits(other))) ?? name;
}

const LEAF = [
  equality, equality, equality, order, order, order, between, membership, membership, containment,
  affix, truthiness, missing, missingSome, quantifier, quantifier, pair,
];

function equality() {
  const name = pick(COMPARED);
  const sides = [asked(name), literal(name)];
  return { [pick(["==", "===", "!=", "!=="])]: chance(0.2) ? sides.reverse() : sides };
}

function order() {
  const name = pick(ORDERED);
  const sides = [asked(name), placed(name)];
  return { [pick(["<", "<=", ">", ">="])]: chance(0.2) ? sides.reverse() : sides };
}

function between() {
  const name = pick(ORDERED);
  const ends = [placed(name), placed(name)];
  if (typeof ends[0] !== typeof ends[1]) ends[1] = ends[0];
  if (ends[0] > ends[1]) ends.reverse();
  return { [pick(["<", "<="])]: [ends[0], asked(name), ends[1]] };
}

function membership() {
  const name = pick(COMPARED);
  const values = some(LITERALS[name], 3);
  if (chance(0.15)) values.push(null);
  if (chance(0.08)) values.push({ var: peer(name, COMPARED) });
  return { in: [asked(name), values] };
}

function containment() {
  if (chance(0.1)) return texts("in", { var: "country" }, { var: "work.title" });
  const part = pick(chance(0.5) ? ITEMS : ["CZ", "C", "e", "5"]);
  return { in: [part, asked(pick([...TEXTUAL, ...LISTED]))] };
}

function texts(operator, part, whole) {
  return { [operator]: operator === "in" ? [part, whole] : [whole, part] };
}

function affix() {
  if (chance(0.1)) {
    const traits = [{ var: "country" }, { var: "work.title" }];
    return texts(pick(["startsWith", "endsWith"]), ...(chance(0.5) ? traits.reverse() : traits));
  }
  return { [pick(["startsWith", "endsWith"])]: [asked(pick(TEXTUAL)), pick(["C", "CZ", "p", "5", "e"])] };
}

function truthiness() {
  const trait = asked(pick(FIELDS));
  return { [pick(["!", "!!"])]: chance(0.5) ? trait : [trait] };
}

function missing() {
  const names = some(FIELDS, 3);
  return { missing: chance(0.5) ? names : [names] };
}

function missingSome() {
  return { missing_some: [pick([1, 1, 2, 3]), [...new Set(some(FIELDS, 4))]] };
}

function quantifier() {
  const item = { var: "" };
  const inside = chance(0.5)
    ? { [pick(["==", "==="])]: [item, pick(ITEMS)] }
    : { in: [item, some(ITEMS, 3)] };
  const outside = chance(0.5) ? { "!": inside } : { [pick(["!=", "!=="])]: [pick(ITEMS), item] };
  const name = pick(["some", "none", "all"]);
  return { [name]: [asked(pick(LISTED)), name === "all" ? outside : inside] };
}

function pair() {
  const names = chance(0.5) ? COMPARED : ORDERED;
  const name = pick(names);
  const operators = names === ORDERED ? ["<", "<=", ">", ">="] : ["==", "===", "!=", "!=="];
  return { [pick(operators)]: [{ var: name }, { var: peer(name, names) }] };
}

function leaf() {
  const made = pick(LEAF)();
  return chance(0.3) ? { "!": chance(0.5) ? made : [made] } : made;
}

function tree(depth) {
  if (depth === 0 || chance(0.15)) return chance(0.04) ? pick([true, false, 0]) : leaf();
  const below = () => tree(depth - 1);
  const dice = random();
  if (dice < 0.35) return { and: Array.from({ length: pick([1, 2, 2, 3]) }, below) };
  if (dice < 0.7) return { or: Array.from({ length: pick([1, 2, 2, 3]) }, below) };
  if (dice < 0.8) return { [pick(["!", "!!"])]: [below()] };
  if (dice < 0.95) {
    const length = pick([2, 3, 3, 4, 5]);
    return { [pick(["if", "if", "?:"])]: Array.from({ length }, below) };
  }
  return asked(pick(FIELDS));
}

const EDGES = [
  {}, { country: "", work: { title: "" } }, { country: "null" }, { work: { title: "null" } },
];
const profiles = [...Array.from({ length: PROFILES }, profile), ...EDGES];
const truths = (logic) =>
  profiles.map((each) => (jsonLogic.truthy(jsonLogic.apply(logic, each)) ? 1 : 0)).join("");

const lines = [JSON.stringify({ types: TYPES, profiles })];
const seen = new Set();
for (let count = 0; count < LEAVES + TREES; ) {
  const leafy = count < LEAVES;
  const logic = leafy ? leaf() : tree(pick([1, 2, 3]));
  const text = JSON.stringify(logic);
  if (seen.has(text)) continue;
  seen.add(text);
  lines.push(JSON.stringify({ logic, truths: truths(logic), leaf: leafy }));
  count += 1;
}
writeFileSync(new URL("cases.jsonl", import.meta.url), lines.join("\n") + "\n");
