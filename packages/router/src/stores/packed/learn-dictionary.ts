import { isObject } from "../shape.ts"
import { prefixOf, templateOf } from "./template.ts"
import type { Template } from "./template.ts"
import type { Dictionary } from "./text.ts"
import type { turns } from "../turns.ts"

/** How many records are looked at to find what many have in common. They come in the order of a hash: any are as good. */
export const SAMPLE = 20_000
/** At most so many templates, and so many strings: the dictionary is read in one piece when an image is opened. */
const MOST = 4_096

/** What the records of an image have in common. */
export interface Learnt extends Dictionary {
  readonly templates: readonly Template[]
  /** The number of the closest template of a record. */
  readonly closest: (record: unknown) => number
}

/** Looks at a sample of `total` records, as JSON. */
export const learnDictionary = async (
  sample: readonly string[],
  total: number,
  turn: ReturnType<typeof turns>,
): Promise<Learnt> => {
  const counts = new Map<string, number>()
  for (const json of sample) {
    countStrings(JSON.parse(json), counts)
    if (turn.isOver()) await turn.next()
  }
  const strings = mostFrequent(counts, Math.max(3, sample.length / 5_000))
  const often = new Set<string>()
  const prefixes = new Map<string, number>()
  for (const [text, count] of counts) {
    const isOften = count >= Math.max(3, sample.length / 500)
    if (isOften) often.add(text)
    const prefix = isOften ? undefined : prefixOf(text)
    if (prefix !== undefined) add(prefixes, prefix, count)
    if (turn.isOver()) await turn.next()
  }
  // A prefix makes more templates, so it has to be the beginning of much.
  const common = new Set([...often, ...mostFrequent(prefixes, Math.max(3, sample.length / 10))])

  const full = new Map<string, number>()
  const bare = new Map<string, number>()
  for (const json of sample) {
    const record: unknown = JSON.parse(json)
    add(full, templateText(record, common))
    add(bare, templateText(record, none))
    if (turn.isOver()) await turn.next()
  }
  // A template is kept if it saves more bytes than it has: with its strings some for each record, without them the names.
  const scale = total / sample.length
  const worth = (found: ReadonlyMap<string, number>, saved: number) =>
    new Map([...found].filter(([text, count]) => count > 1 && count * scale * saved > text.length))
  const kept = new Set([ANY, ...mostFrequent(new Map([...worth(bare, 32), ...worth(full, 8)]), 2)])
  const templates = [...kept].map((template) => JSON.parse(template) as Template)
  return learnt({ templates, strings }, common)
}

/** What an image knows of its records, for more of them. */
export const learntBefore = (dictionary: Pick<Learnt, "templates" | "strings">): Learnt => {
  const common = new Set<string>()
  for (const template of dictionary.templates) addCommon(template, common)
  return learnt(dictionary, common)
}

const learnt = ({ templates, strings }: Pick<Learnt, "templates" | "strings">, common: ReadonlySet<string>): Learnt => {
  const numbers = new Map(templates.map((template, at) => [JSON.stringify(template), at]))
  const any = numbers.get(ANY) ?? 0
  return {
    strings,
    at: new Map(strings.map((text, at) => [text, at])),
    templates,
    closest: (record) => numbers.get(templateText(record, common)) ?? numbers.get(templateText(record, none)) ?? any,
  }
}

/** The strings and prefixes that a template has. */
const addCommon = (template: Template, common: Set<string>): void => {
  if (typeof template === "string") return
  if ("is" in template) {
    if (typeof template.is === "string") common.add(template.is)
  } else if ("after" in template) common.add(template.after)
  else for (const inner of template.values) addCommon(inner, common)
}

/** The template of whatever fits no other. */
const ANY = JSON.stringify("any" satisfies Template)

const templateText = (record: unknown, common: ReadonlySet<string>): string =>
  JSON.stringify(templateOf(record, common))

/** For records whose common strings come in rare combinations. */
const none: ReadonlySet<string> = new Set()

const countStrings = (value: unknown, counts: Map<string, number>): void => {
  if (typeof value === "string") add(counts, value)
  else if (Array.isArray(value)) for (const each of value) countStrings(each, counts)
  else if (isObject(value)) {
    for (const [name, inner] of Object.entries(value)) {
      add(counts, name)
      countStrings(inner, counts)
    }
  }
}

const add = (counts: Map<string, number>, text: string, by = 1): void => {
  counts.set(text, (counts.get(text) ?? 0) + by)
}

/** The most frequent first, so that they have the smallest numbers; equally frequent ones in the order of their characters. */
const mostFrequent = (counts: ReadonlyMap<string, number>, least: number): string[] =>
  [...counts]
    .filter(([text, count]) => count >= least && text.length > 1)
    .toSorted(([one, often], [other, otherOften]) => otherOften - often || (one < other ? -1 : 1))
    .slice(0, MOST)
    .map(([text]) => text)
