import { expect } from "vitest"
import { followed } from "../probes.ts"
import { startProcess } from "../process.ts"
import { missingPrograms, systemProgram } from "../system.ts"
import type { RealApp } from "../real-app.ts"

export const fastapi: RealApp = {
  name: "FastAPI on Uvicorn",
  version: "0.92",
  versionCommand: ["/usr/bin/python3", "-c", "import fastapi; print(fastapi.__version__)"],
  command: "uvicorn main:app --port $PORT",
  settings: {},
  fixture: "fastapi",
  missing: missingPrograms("uvicorn"),
  start: (cwd) =>
    startProcess({ cwd, command: (port) => [systemProgram("uvicorn")!, "main:app", "--port", String(port)] }),
  probes: [{ ...followed("/items"), byDefault: "https://…/items/", withPublicName: "https://…/items/" }],
  checks: [
    {
      kinds: ["redirect"],
      claim: "a path without its last slash leads to its public origin",
      run: async ({ host, origin }) => {
        const response = await host.fetch(`${origin}/items?page=2`)
        expect([response.status, response.headers.get("location")]).toEqual([307, `${origin}/items/?page=2`])
        expect(await (await host.fetch(response.headers.get("location")!)).json()).toEqual(["an item"])
      },
    },
    {
      kinds: ["page"],
      claim: "its documentation, and the description that it reads",
      run: async ({ newPage, origin }) => {
        const { page } = await newPage()
        await page.goto(`${origin}/docs`, { waitUntil: "commit" })
        await expect.poll(() => page.title()).toContain("A FastAPI app")
        const description = await page.evaluate(`fetch("/openapi.json").then((response) => response.json())`)
        expect(description).toMatchObject({ paths: { "/items/": expect.anything() } })
      },
    },
  ],
}
