import { readFile, rename, writeFile } from "node:fs/promises"
import { expect } from "vitest"
import type { Page } from "playwright-core"
import type { Check } from "./real-app.ts"

/** Replaces a text in a file as an editor does, and puts it back in the end. */
export const edited = async (file: string, from: string, to: string, look: () => Promise<void>): Promise<void> => {
  const original = await readFile(file, "utf8")
  await replaceFile(file, original.replace(from, to))
  try {
    await look()
  } finally {
    await replaceFile(file, original)
  }
}

/** As editors save: at once. A dev server that reads a file while it is written would keep what it found, an empty module. */
const replaceFile = async (file: string, text: string): Promise<void> => {
  await writeFile(`${file}.new`, text)
  await rename(`${file}.new`, file)
}

/** Marks a document: the mark is gone after a reload. */
export const mark = (page: Page): Promise<void> => page.evaluate("globalThis.marked = true")
export const isMarked = (page: Page): Promise<boolean> => page.evaluate("globalThis.marked === true")

/** A form with the field `words` that is posted to its own page, which then has them in `#said`. */
export const formIsPosted: Check = {
  kinds: ["page", "form"],
  claim: "what is submitted in a browser arrives",
  run: async ({ newPage, origin }) => {
    const { page } = await newPage()
    await page.goto(origin)
    await page.fill("[name=words]", "hello & welcome")
    await page.click("#say")
    await expect.poll(() => page.innerText("#said")).toBe("hello & welcome")
    expect(new URL(page.url()).origin).toBe(origin)
  },
}

/** The same from browsers without Fetch Metadata, where only `Origin` tells whose page posts. */
export const formNeedsItsOrigin: Check = {
  kinds: ["form"],
  claim: "without Sec-Fetch-Site the app's own Origin passes, another does not",
  run: async ({ host, origin }) => {
    const post = async (from: string) => {
      const body = new URLSearchParams({ words: "hello" }).toString()
      const headers = { "content-type": "application/x-www-form-urlencoded", origin: from }
      const response = await host.fetch(origin, { method: "POST", headers, body })
      return [response.status, (await response.text()).includes("hello")]
    }
    expect(await post(origin)).toEqual([200, true])
    expect(await post(`https://1--someone-else.${host.domain}`)).toEqual([403, false])
    expect(await post("https://example.com")).toEqual([403, false])
  },
}
