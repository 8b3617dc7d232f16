import type { Explanation } from "../program/explanation.ts"
import type { ConsoleData } from "./console-data.ts"
import { byteLength } from "./fitting.ts"
import { clipped, Html, markup } from "./html.ts"
import { facts, road } from "./page-explanation.ts"
import { SCRIPT, STYLE } from "./page-style.ts"
import { errorTable, machineTable, storeTable } from "./page-tables.ts"

/** The largest page, in bytes. What does not fit is in the JSON. */
const MAX_BYTES = 30_000
/** The longest path that the form shows, in characters. */
const MAX_PATH = 300

/** A part of the page, in at most `max` bytes as far as its rows go; `undefined`: there is nothing to show. */
type Section = (max: number) => Html | undefined

/** The page: a search, where its hostname leads and stops, and what is known of stores, errors and machines. Never longer than 30 kB. */
export const consolePage = (data: ConsoleData): string => {
  const { explanation, stores, recent } = data
  const sections: readonly Section[] = [
    ...(explanation === undefined ? [] : ofHostname(explanation)),
    (max) => stores && storeTable(stores, recent?.store, max),
    (max) => recent && errorTable(recent.errors, max),
    (max) => recent && machineTable(recent.machines, max),
  ]
  let left = MAX_BYTES - byteLength(frame(data, []).text)
  const shown = sections.flatMap((section, at) => {
    // Each has at most half of what is left, so that none leaves no room for the next one.
    const part = section(at === sections.length - 1 ? left : Math.floor(left / 2))
    if (part === undefined) return []
    left -= byteLength(part.text)
    return [part]
  })
  return frame(data, shown).text
}

const ofHostname = (explanation: Explanation): readonly Section[] => [
  (max) => road(explanation, max),
  (max) => facts(explanation, max),
]

// Style and script have no space around them: their hashes are of the text between the tags.
const frame = ({ asked, scope }: ConsoleData, sections: readonly Html[]): Html => markup`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${
  asked === undefined ? "" : `${clipped(asked.hostname, 80)} · `
}Ingress</title>
<style>${new Html(STYLE)}</style>
<h1>Where does a hostname lead?</h1>
${form(asked)}
<main>${sections}</main>
<p class="note">${scopes[scope]} <a href="?${jsonQuery(asked)}">JSON</a></p>
<script>${new Html(SCRIPT)}</script></html>
`

const scopes = {
  process: "Figures are of this process alone, since it started.",
  isolate:
    "This shows one isolate: Workers run the same router in many of them at a time, each with a memory of its own. Another load may show another one.",
}

const jsonQuery = (asked: ConsoleData["asked"]): string => {
  const query = new URLSearchParams({ format: "json" })
  if (asked !== undefined) query.set("hostname", asked.hostname)
  if (asked?.path !== undefined) query.set("path", clipped(asked.path, MAX_PATH))
  if (asked?.policies === true) query.set("policies", "1")
  return query.toString()
}

const form = (asked: ConsoleData["asked"]): Html => {
  const focus = new Html(asked === undefined ? " autofocus" : "")
  const checked = new Html(asked?.policies === true ? " checked" : "")
  return markup`<form role="search"><input type="text" id="hostname" name="hostname" value="${asked?.hostname}" aria-label="Hostname or URL" placeholder="4096__misha.iterate.app (press /)" maxlength="2300" autocomplete="off" autocapitalize="off" spellcheck="false" required${focus}>
<input type="text" id="path" name="path" value="${clipped(asked?.path ?? "", MAX_PATH)}" aria-label="Path" placeholder="/path" maxlength="2000" autocomplete="off" spellcheck="false">
<label><input type="checkbox" name="policies" value="1"${checked}> ask the policies, as for a visitor without credentials</label>
<button>Explain</button></form>`
}
