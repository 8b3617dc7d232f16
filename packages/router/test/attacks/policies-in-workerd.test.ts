import { expect, it } from "vitest"
import { inWorkerd } from "../../../../test/in-workerd.ts"

it("the policies decide in workerd as on Node, and share what they ask the platform", async () => {
  expect(await inWorkerd(new URL("policies-worker.ts", import.meta.url))).toEqual({
    alias: "https://4096__misha.iterate.app/a?b",
    login: "https://app.example/sign-in",
    script: "ROUTE_NOT_FOUND",
    together: Array.from({ length: 20 }, () => 200),
    again: 200,
    calls: [1, 1],
    eve: "ROUTE_NOT_FOUND",
    foreignPost: "ROUTE_NOT_FOUND",
    foreignSocket: "ROUTE_NOT_FOUND",
    preflight: 204,
    key: [200, 200, "ACCESS_DENIED"],
    down: "AUTH_UNAVAILABLE",
    rate: [200, 429],
    keptAlive: true,
  })
})
