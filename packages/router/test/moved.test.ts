import { describe, expect, it, onTestFinished, vi } from "vitest"
import { setup, stamped } from "./fakes.ts"

const misdirected = () => stamped("{}", { status: 421, headers: { "x-iterate-proxy-error": "MACHINE_MISMATCH" } })
const record = (id: string) => ({
  status: "hit" as const,
  record: {
    kind: "machine" as const,
    machine: { id, type: "fake", externalId: id, metadata: {} },
    version: 1,
    epoch: 1,
  },
})

const moving = (method: string, body?: string) => {
  const asked: (boolean | undefined)[] = []
  const made = setup({
    store: {
      get: (_, { refresh }) => {
        asked.push(refresh)
        return record(refresh === true ? "new" : "old")
      },
    },
    answer: ({ origin }) => (origin === "http://old.test" ? misdirected() : stamped("moved in")),
  })
  const url = "http://misha.iterate.app/"
  const response = made.router.fetch(new Request(url, { method, ...(body === undefined ? {} : { body }) }))
  return { asked, sent: made.sent, response: response as Promise<Response> }
}

describe("a machine that moved", () => {
  it("is looked up past every cache and asked once more", async () => {
    const { response, asked } = moving("POST")
    expect(await (await response).text()).toBe("moved in")
    expect(asked).toEqual([false, true])
  })

  it("is 503 for a body that is gone, and the next request finds it", async () => {
    const { response, asked, sent } = moving("POST", "once")
    expect((await response).status).toBe(503)
    expect((await response).headers.get("x-iterate-proxy-error")).toBe("MACHINE_MISMATCH")
    expect(asked).toEqual([false, true])
    expect(sent.every(({ origin }) => origin === "http://old.test")).toBe(true)
  })

  it("is asked no third time", async () => {
    const { router, sent } = setup({ answer: misdirected })
    expect((await router.fetch(new Request("http://misha.iterate.app/")))?.status).toBe(503)
    expect(sent.length).toBe(2)
  })

  it("that answers 421 forever costs ten look-ups past every cache, and one more a second", async () => {
    vi.useFakeTimers({ toFake: ["performance"] })
    onTestFinished(() => void vi.useRealTimers())
    let refreshes = 0
    const { router } = setup({
      store: {
        get: (_, { refresh }) => {
          if (refresh === true) refreshes++
          return record("old")
        },
      },
      answer: misdirected,
    })
    const visit = async () => (await router.fetch(new Request("http://misha.iterate.app/")))?.status
    for (let at = 0; at < 100; at++) expect(await visit()).toBe(503)
    expect(refreshes).toBe(10)
    vi.advanceTimersByTime(2_000)
    for (let at = 0; at < 100; at++) expect(await visit()).toBe(503)
    expect(refreshes).toBe(12)
  })

  it("may be gone for good: the refreshed route decides", async () => {
    const { router, routes } = setup({
      answer: () => {
        routes.detach("p:misha")
        return misdirected()
      },
    })
    expect((await router.fetch(new Request("http://misha.iterate.app/")))?.status).toBe(404)
  })

  it("is not suspected because an app says 421", async () => {
    const { router, sent } = setup({ answer: () => stamped("app", { status: 421 }) })
    expect((await router.fetch(new Request("http://misha.iterate.app/")))?.status).toBe(421)
    expect(sent.length).toBe(1)
  })
})
