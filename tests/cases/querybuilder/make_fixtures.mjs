// Writes fixtures.json: queries made by react-querybuilder's own functions, the condition that each
// has to become, and what the package makes of that condition again. Run by hand; README.md says how.

import { writeFileSync } from "node:fs";
import {
  convertToIC, createRuleGroup, defaultCombinators, formatQuery,
} from "@react-querybuilder/core";
import { parseCEL } from "@react-querybuilder/core/parseCEL";
import { parseJsonLogic } from "@react-querybuilder/core/parseJsonLogic";
import { parseMongoDB } from "@react-querybuilder/core/parseMongoDB";
import { parseSpEL } from "@react-querybuilder/core/parseSpEL";
import { parseSQL } from "@react-querybuilder/core/parseSQL";

const rule = (field, operator, value, more = {}) => ({ field, operator, value, ...more });
const presence = (field, operator) => ({ field, operator });
const field = (name, operator, other) => rule(name, operator, other, { valueSource: "field" });
const and = (...rules) => ({ combinator: "and", rules });
const or = (...rules) => ({ combinator: "or", rules });
const not = (group) => ({ ...group, not: true });

const SQL =
  "age between 18 and 65 and country in ('CZ', 'SK') and not (name like 'A%' or name is null) " +
  "and spent < credit";
const SQL_CONDITION = and(
  rule("age", "between", [18, 65]),
  rule("country", "in", ["CZ", "SK"]),
  not(or(rule("name", "beginsWith", "A"), presence("name", "null"))),
  field("spent", "<", "credit"),
);
const IDS = { ...and(rule("age", ">", 18, { id: "r1", path: [0] }), {
  ...or(rule("country", "=", "CZ", { id: "r2" }), rule("vip", "=", true, { id: "r3" })),
  id: "g2", path: [1],
}), id: "g1" };
const json = (query, format = "json") => JSON.parse(formatQuery(query, format));

const OURS = and(
  rule("seen", "withinLast", "30d", { missing: false }), rule("tags", "containsAny", ["vip", 1]),
  rule("name", "=", "Ann", { caseSensitive: true, missing: true }),
  rule("home", "withinDistance", { lat: 49.2, lon: 16.6, km: 20 }), rule("segment:vip", "=", true),
  rule("customer_id", "sample", { percent: 10, salt: "x" }), rule("name", "matches", "^A,B$"),
);

// name: [query, condition, more]. `types` are the traits' declared types. `sql: false`: the
// package's SQL says the same in another form. `foreign: false`: SQL and JSONLogic are not
// compared.
const CASES = {
  "every operator of the editor": [
    and(
      rule("age", "=", 18), rule("age", "!=", 18), rule("age", "<", 18), rule("age", ">", 18),
      rule("age", "<=", 18), rule("age", ">=", 18), rule("name", "contains", "a"),
      rule("name", "beginsWith", "a"), rule("name", "endsWith", "a"),
      rule("name", "doesNotContain", "a"), rule("name", "doesNotBeginWith", "a"),
      rule("name", "doesNotEndWith", "a"), rule("name", "null", null),
      rule("name", "notNull", ""), rule("country", "in", ["CZ", "SK"]),
      rule("country", "notIn", ["CZ", "SK"]), rule("age", "between", [18, 65]),
      rule("age", "notBetween", [18, 65]),
    ),
    and(
      rule("age", "=", 18), rule("age", "!=", 18), rule("age", "<", 18), rule("age", ">", 18),
      rule("age", "<=", 18), rule("age", ">=", 18), rule("name", "contains", "a"),
      rule("name", "beginsWith", "a"), rule("name", "endsWith", "a"),
      rule("name", "doesNotContain", "a"), rule("name", "doesNotBeginWith", "a"),
      rule("name", "doesNotEndWith", "a"), presence("name", "null"), presence("name", "notNull"),
      rule("country", "in", ["CZ", "SK"]), rule("country", "notIn", ["CZ", "SK"]),
      rule("age", "between", [18, 65]), rule("age", "notBetween", [18, 65]),
    ),
  ],
  "values as the editor's text inputs leave them": [
    and(
      rule("age", "between", "18,65"), rule("spent", ">=", "99.5"),
      rule("country", "in", "CZ, SK,x\\,y"), rule("country", "notIn", "DE"),
      rule("name", "notNull", ""), rule("age", "notBetween", ["70", "80"]),
    ),
    and(
      rule("age", "between", [18, 65]), rule("spent", ">=", 99.5),
      rule("country", "in", ["CZ", "SK", "x,y"]), rule("country", "notIn", ["DE"]),
      presence("name", "notNull"), rule("age", "notBetween", [70, 80]),
    ),
  ],
  "numbers as text, of declared traits": [
    and(rule("age", "in", "18, 19"), rule("app", "between", "1.2,1.10"), rule("age", "=", "20")),
    and(rule("age", "in", ["18", "19"]), rule("app", "between", ["1.2", "1.10"]),
        rule("age", "=", "20")),
    { types: { app: "version" } },
  ],
  "numbers as text, of undeclared traits": [
    and(rule("nickname", "in", "18, 19"), rule("nickname", "=", "20")),
    and(rule("nickname", "in", ["18", "19"]), rule("nickname", "=", "20")),
    { warnings: [["/rules/0/value", "number_as_text"]], foreign: false },
  ],
  "another letter case": [
    { combinator: "AND", rules: [rule("name", "notnull", ""), rule("name", "BEGINSWITH", "A")] },
    and(presence("name", "notNull"), rule("name", "beginsWith", "A")),
    { foreign: false },
  ],
  "ids and paths": [IDS, json(IDS, "json_without_ids")],
  "exported with ids": [json(IDS), json(IDS, "json_without_ids")],
  "exported with numbers parsed": [
    JSON.parse(formatQuery(and(rule("age", "<", "18"), rule("nickname", "=", "5")),
                           { format: "json_without_ids", parseNumbers: true })),
    and(rule("age", "<", 18), rule("nickname", "=", 5)),
  ],
  "negated groups": [
    not(and(rule("age", "<", 18), not(or(rule("vip", "=", true), rule("age", ">", 65))))),
    not(and(rule("age", "<", 18), not(or(rule("vip", "=", true), rule("age", ">", 65))))),
  ],
  "not: false": [{ ...and({ ...or(rule("age", "<", 18)), not: false }), not: false },
                 and(or(rule("age", "<", 18)))],
  "fields against fields": [
    and(field("spent", "<", "credit"), field("name", "!=", "nickname"),
        field("name", "beginsWith", "nickname"), rule("age", "=", 5, { valueSource: "value" })),
    and(field("spent", "<", "credit"), field("name", "!=", "nickname"),
        field("name", "beginsWith", "nickname"), rule("age", "=", 5)),
  ],
  "between two fields, in several": [
    and(field("age", "between", "low,high"), field("age", "notBetween", ["low", "high"]),
        field("age", "in", "low,high"), field("age", "notIn", "low, high")),
    and(
      and(field("age", ">=", "low"), field("age", "<=", "high")),
      or(field("age", "<", "low"), field("age", ">", "high")),
      or(field("age", "=", "low"), field("age", "=", "high")),
      and(field("age", "!=", "low"), field("age", "!=", "high")),
    ),
    { sql: false },
  ],
  "switches that are off": [
    and(rule("age", "<", 18, { disabled: false }), { ...or(rule("vip", "=", true)), muted: false }),
    and(rule("age", "<", 18), or(rule("vip", "=", true))),
  ],
  "what was never filled in": [
    and(rule("age", "<", 18), or(), rule("~", "=", ""), rule("name", "~", ""),
        and(or(), rule("~", "=", "x"))),
    and(rule("age", "<", 18)),
    { sql: false, warnings: [
      ["/rules/1", "empty_group"], ["/rules/2", "unfinished_rule"], ["/rules/3", "unfinished_rule"],
      ["/rules/4/rules/0", "empty_group"], ["/rules/4/rules/1", "unfinished_rule"],
      ["/rules/4", "empty_group"],
    ] },
  ],
  "a new group of the editor": [createRuleGroup({ combinators: defaultCombinators, idGenerator: () => "g1" }), null, { refused: [["/rules", "empty"]] }],
  "combinators between rules": [
    { rules: [rule("age", "=", 1), "or", rule("age", "=", 2), "and", rule("vip", "=", true),
              "or", rule("age", "=", 3)] },
    or(rule("age", "=", 1), and(rule("age", "=", 2), rule("vip", "=", true)), rule("age", "=", 3)),
    { sql: false },
  ],
  "combinators between rules, of one kind": [
    { rules: [rule("age", "=", 1), "or", rule("vip", "=", true)], not: true },
    not(or(rule("age", "=", 1), rule("vip", "=", true))),
  ],
  "combinators between rules, one rule": [
    { rules: [rule("age", "=", 1)] }, and(rule("age", "=", 1)),
  ],
  "combinators between rules, an empty group": [
    { rules: [rule("age", "=", 1), "or", { rules: [] }, "and", rule("vip", "=", true)] },
    or(rule("age", "=", 1), rule("vip", "=", true)),
    { sql: false, warnings: [["/rules/2", "empty_group"]] },
  ],
  "converted to combinators between rules": [convertToIC(SQL_CONDITION), SQL_CONDITION],
  "parseSQL": [parseSQL(SQL), SQL_CONDITION],
  "parseSQL, lists as arrays": [parseSQL(SQL, { listsAsArrays: true }), SQL_CONDITION],
  "parseSQL, independent combinators": [
    parseSQL("age = 1 or vip = true and country in ('CZ') or name is not null",
             { independentCombinators: true, listsAsArrays: true }),
    or(rule("age", "=", 1), and(rule("vip", "=", true), rule("country", "in", ["CZ"])),
       presence("name", "notNull")),
    { sql: false },
  ],
  "parseCEL": [
    parseCEL('age >= 18 && (country == "CZ" || !(name.startsWith("A"))) && country in ["CZ", "SK"]'),
    and(rule("age", ">=", 18),
        or(rule("country", "=", "CZ"), and(rule("name", "doesNotBeginWith", "A"))),
        rule("country", "in", ["CZ", "SK"])),
  ],
  "parseMongoDB": [
    parseMongoDB({ age: { $gt: 18 }, country: { $in: ["CZ", "SK"] }, $or: [{ vip: true },
                                                                          { name: null }] }),
    and(rule("age", ">", 18), rule("country", "in", ["CZ", "SK"]),
        or(rule("vip", "=", true), presence("name", "null"))),
  ],
  "parseSpEL": [
    parseSpEL("age > 18 and country == 'CZ' or name matches '^A'"),
    or(and(rule("age", ">", 18), rule("country", "=", "CZ")), rule("name", "beginsWith", "A")),
  ],
  "parseJsonLogic": [
    parseJsonLogic({ and: [{ "<=": [18, { var: "age" }, 65] },
                           { "!": { in: [{ var: "country" }, ["CZ", "SK"]] } },
                           { "!=": [{ var: "name" }, null] }, { in: ["a", { var: "name" }] }] }),
    and(rule("age", "between", [18, 65]), rule("country", "notIn", ["CZ", "SK"]),
        presence("name", "notNull"), rule("name", "contains", "a")),
  ],
  "what only we have": [OURS, OURS, { types: { seen: "instant", tags: "list" }, foreign: false }],
  "disabled": [and(rule("age", "<", 18, { disabled: true })), null,
               { refused: [["/rules/0/disabled", "bad_value"]] }],
  "muted": [and({ ...or(rule("age", "<", 18)), muted: true }, rule("vip", "=", true)), null,
            { refused: [["/rules/0/muted", "bad_value"]] }],
  "match modes": [
    parseJsonLogic({ some: [{ var: "orders" }, { ">": [{ var: "total" }, 5] }] }), null,
    { refused: [["/rules/0/match", "unknown_property"]] },
  ],
  "xor": [{ combinator: "xor", rules: [rule("age", "<", 18), rule("vip", "=", true)] }, null,
          { refused: [["/combinator", "bad_value"]] }],
  "half a pair": [and(rule("age", "between", "18,"), rule("name", "contains", "")), null,
                  { refused: [["/rules/0/value", "type"], ["/rules/1/value", "empty"]] }],
};

const TYPES = { age: "number", country: "string", vip: "boolean" };
const sql = (query) => formatQuery(query, { format: "sql", parseNumbers: true });

const fixtures = Object.entries(CASES).map(([name, [query, condition, more = {}]]) => {
  const { types = {}, warnings = [], refused = [], sql: comparable = true, foreign = true } = more;
  const made = { name, types: { ...TYPES, ...types }, query };
  if (refused.length) return { ...made, refused };
  return {
    ...made,
    condition,
    warnings,
    again: json(condition, "json_without_ids"),
    sql: comparable && foreign ? [sql(query), sql(condition)] : null,
    jsonlogic: foreign ? formatQuery(query, { format: "jsonlogic", parseNumbers: true }) : null,
  };
});
const text = fixtures.map((each) => "  " + JSON.stringify(each)).join(",\n");
writeFileSync(new URL("fixtures.json", import.meta.url), `[\n${text}\n]\n`);
