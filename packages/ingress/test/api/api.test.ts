import { expect, it } from "vitest"
import { realIngresses } from "./real-ingresses.ts"
import { hypemanCases } from "./hypeman-cases.ts"
import { ownCases } from "./own-cases.ts"
import { documented, testApi } from "./test-api.ts"

hypemanCases("in memory", realIngresses)
ownCases("in memory", realIngresses)

it("hypeman's list has all of them, however long the pages of the platform are", async () => {
  const { ask } = await testApi(
    async (platform) => {
      const ingresses = await realIngresses(platform)
      return { ...ingresses, list: (options) => ingresses.list({ ...options, limit: 2 }) }
    },
    {},
    { mode: "hypeman" },
  )
  for (let at = 0; at < 5; at++) await ask("POST", "/ingresses", { body: documented(`n${at}.example.com`, `n${at}`) })
  const names = (await ask("GET", "/ingresses")).body.map(({ name }: { name: string }) => name)
  expect(names.toSorted()).toEqual(["n0", "n1", "n2", "n3", "n4"])
})
