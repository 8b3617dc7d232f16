import type { RouteKey } from "../../../stores/record.ts"
import { claim, LawBroken } from "../../claim.ts"
import { storeLaw } from "../store-law.ts"

/** Keys that are easily taken for another. */
export const names = {
  "name.of-objects": storeLaw(
    "a key with a name that every object has leads nowhere unless it was put",
    async (context) => {
      const known = context.project()
      const expected = await context.put(known)
      const store = await context.open()
      for (const key of [
        "p:tostring",
        "p:toString",
        "p:__proto__",
        "m:__proto__",
        "d:hasownproperty",
        "__proto__",
        "constructor",
      ]) {
        const found = await context.look(store, key as RouteKey)
        if (found.status === "hit") throw new LawBroken(`${key} is a hit, and was never put`)
      }
      await context.mustHave(store, known, expected)
      const put = await context.put("p:constructor")
      await context.mustHave(store, "p:constructor", put)
      await context.remove("p:constructor")
      await context.mustMiss(store, "p:constructor")
    },
  ),
  "name.exact": storeLaw(
    "a key is found by the whole of it alone: no pattern, no prefix, no other kind",
    async (context) => {
      const name = context.name()
      const underscore = `m:mach_${name.replaceAll("-", "_")}` as const
      const keys: readonly RouteKey[] = [`p:${name}`, underscore, `d:${name}.example.com`]
      const all = []
      for (const key of keys) all.push([key, await context.put(key)] as const)
      const store = await context.open()
      for (const [key, expected] of all) await context.mustHave(store, key, expected)
      const others = [
        `p:${name}-`,
        `p:${name.slice(0, -1)}`,
        `m:${name}`,
        `d:${name}`,
        // An underscore is a pattern of SQL, and so is a per cent sign.
        underscore.replaceAll("_", "-"),
        underscore.replaceAll("_", "x"),
        `p:%`,
        `d:%.example.com`,
        `d:*.${name}.example.com`,
        `d:443:${name}.example.com`,
      ]
      for (const key of others) {
        const found = await context.look(store, key as RouteKey)
        if (found.status === "hit") throw new LawBroken(`${key} is a hit, and was never put`)
      }
    },
  ),
  "name.domains": storeLaw(
    "a domain, its wildcard and its listening ports are keys of their own, and a wildcard is no more than its key",
    async (context) => {
      const domain = `${context.name()}.example.com`
      const keys: readonly RouteKey[] = [`d:${domain}`, `d:*.${domain}`, `d:8443:${domain}`, `d:9443:${domain}`]
      const all = []
      for (const key of keys) all.push([key, await context.put(key)] as const)
      const store = await context.open()
      for (const [key, expected] of all) await context.mustHave(store, key, expected)
      await context.mustMiss(store, `d:www.${domain}`)
      await context.mustMiss(store, `d:443:${domain}`)
      await context.remove(`d:${domain}`)
      await context.mustMiss(store, `d:${domain}`)
      for (const [key, expected] of all.slice(1)) await context.mustHave(store, key, expected)
    },
  ),
  "name.any-text": storeLaw(
    "a key may be any text of any length: it is no hit, and the next look-up works",
    async (context) => {
      const known = context.project()
      const expected = await context.put(known)
      const store = await context.open()
      const texts = [
        "",
        "p:",
        ":",
        "p:\0",
        "p:\ud83d",
        "p:'; drop table routes; --",
        "p:*",
        "p:a\r\nDEL p:a",
        "p:é",
        "p:../p:a",
      ]
      for (const key of [...texts, `p:${"x".repeat(60_000)}`, `d:${"a.".repeat(30_000)}com`]) {
        const found = await context.look(store, key as RouteKey)
        if (found.status === "hit")
          throw new LawBroken(`${JSON.stringify(key.slice(0, 100))} is a hit, and was never put`)
        await context.mustHave(store, known, expected)
      }
    },
  ),
  "first.in-turn": storeLaw(
    "getFirst, where there is one, equals get in turn, for any list of keys",
    async (context) => {
      const there: RouteKey[] = []
      for (let nth = 0; nth < 4; nth++) {
        const key = context.project()
        await context.put(key)
        there.push(key)
      }
      const domain = `${context.name()}.example.com`
      await context.put(`d:*.${domain}`)
      const keys: readonly RouteKey[] = [...there, `d:*.${domain}`, `d:${domain}`, ...[1, 2, 3, 4].map(context.project)]
      const store = await context.open()
      context.needs(store, "getFirst")
      for (const key of there) await context.lookUntilKnown(store, key)
      const random = numbers(42)
      for (let times = 0; times < 200; times++) {
        const asked = Array.from({ length: 1 + random(6) }, () => keys[random(keys.length)]!)
        const found = await context.lookFirstUntilKnown(store, asked)
        const inTurn = await context.firstInTurn(store, asked)
        const shown = JSON.stringify(asked)
        if (found.status !== inTurn.status) throw new LawBroken(`${shown} is ${found.status}, in turn ${inTurn.status}`)
        if (found.key !== inTurn.key) throw new LawBroken(`${shown} finds ${found.key}, in turn ${inTurn.key}`)
        if (found.status === "hit" && inTurn.status === "hit") claim(found.record).toEqual(inTurn.record)
      }
    },
  ),
  "first.long": storeLaw(
    "getFirst, where there is one, takes 64 keys, and an empty list is a miss",
    async (context) => {
      const key = context.project()
      const expected = await context.put(key)
      const store = await context.open()
      context.needs(store, "getFirst")
      const others = Array.from({ length: 63 }, () => context.project())
      claim(await context.lookFirstUntilKnown(store, [...others, key])).toMatchObject({
        status: "hit",
        key,
        record: expected,
      })
      claim((await context.lookFirst(store, [])).status).toBe("miss")
    },
  ),
}

/** Numbers below a bound that are the same in each run. */
const numbers = (seed: number) => {
  let state = seed
  return (bound: number): number => {
    // Park and Miller's.
    state = (state * 48_271) % 2_147_483_647
    return state % bound
  }
}
