import * as SchemaIssue from "effect/SchemaIssue"

/** Where a value does not fit a schema, and what is accepted there. */
export interface SchemaProblem {
  /** Names may be a client's: of each at most 64 characters, all of them visible. */
  readonly path: readonly string[]
  /** A noun phrase. */
  readonly accepted: string
}

/** What an issue holds, in the order of the schema. The message of an issue is what is accepted; it never holds a value. */
export const schemaProblems = (issue: SchemaIssue.Issue): readonly SchemaProblem[] =>
  formatIssue(issue).issues.map(({ path = [], message }) => ({
    path: path.map((part) => visible(String(typeof part === "object" ? part.key : part))),
    // Of a choice between several, which no hook is asked about.
    accepted: message.replace(/^Expected /, ""),
  }))

/** What stands in a message must not begin another line of a log. */
export const visible = (name: string): string => name.slice(0, 64).replaceAll(/[^\x20-\x7e]/g, "?")

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => {
    if (issue._tag === "UnexpectedKey") return "absent: there is no such field"
    if (issue._tag === "MissingKey") return "present"
    if (issue._tag === "InvalidType") {
      // What a value of the wrong type is to be: more than a type.
      const [check] = issue.ast.checks ?? []
      const expected = check?.annotations?.["expected"]
      if (typeof expected === "string") return expected
    }
    const accepted = SchemaIssue.defaultLeafHook(issue).replace(/^Expected /, "")
    return kinds[accepted] ?? accepted
  },
  checkHook: (issue) => {
    const expected = issue.filter.annotations?.["expected"]
    return typeof expected === "string" ? expected : undefined
  },
})

const kinds: Readonly<Record<string, string>> = {
  array: "an array",
  boolean: "true or false",
  number: "a number",
  object: "an object",
  string: "a string",
}
