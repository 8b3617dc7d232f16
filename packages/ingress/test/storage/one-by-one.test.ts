import { expect, it } from "vitest"
import { oneByOne } from "../../src/storage/one-by-one.ts"

it("runs one after the other, also after one that fails", async () => {
  const inTurn = oneByOne()
  const seen: string[] = []
  const run = (name: string) =>
    inTurn(async () => {
      seen.push(`${name} begins`)
      await new Promise((resolve) => setTimeout(resolve, 5))
      seen.push(`${name} ends`)
      if (name === "a") throw new Error(name)
    })
  const [a] = await Promise.allSettled([run("a"), run("b")])
  expect(a.status).toBe("rejected")
  expect(seen).toEqual(["a begins", "a ends", "b begins", "b ends"])
})

it("goes on in workerd after a request that took its work with it, and waits for good elsewhere", async () => {
  const never = () => new Promise<string>(() => undefined)
  const inWorkerd = oneByOne(true, 20)
  void inWorkerd(never)
  await expect(inWorkerd(async () => "next")).resolves.toBe("next")
  const inNode = oneByOne(false, 20)
  void inNode(never)
  const next = inNode(async () => "next")
  const later = new Promise((resolve) => setTimeout(resolve, 100, "still waiting"))
  await expect(Promise.race([next, later])).resolves.toBe("still waiting")
})
