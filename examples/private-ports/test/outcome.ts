import { expect } from "vitest"
import { browserOf, navigation } from "../../../packages/router/test/access/sign-in-world.ts"
import type { Browser, World } from "../../../packages/router/test/access/sign-in-world.ts"
import type { Platform } from "../src/platform.ts"

/** A running platform, and a way to send it requests. */
export interface Running extends Pick<Platform, "originOf" | "token" | "link"> {
  readonly ask: World["ask"]
  readonly revoke: () => Promise<unknown>
  /** Puts the platform's clock forward to so many ms from now. */
  readonly clock: (ms: number) => unknown
}

const HOUR = 3_600_000

/** Signs in by the form, from the page that asked for it. */
const signedIn = async (ask: World["ask"], page: string, name: string): Promise<Browser> => {
  const browser = browserOf({ ask })
  const [login] = await browser.open(page)
  expect(new URL(login!.url).pathname).toBe("/login")
  const post = (password: string) =>
    browser.request(login!.url, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ name, password }).toString(),
    })
  expect((await post("wrong")).status).toBe(403)
  const location = (await post(name)).headers.get("location")!
  await browser.open(location)
  return browser
}

/** Opens a link as its page does: by the grant of the fragment. */
const openLink = async (browser: Browser, link: string): Promise<number> => {
  const { origin, hash } = new URL(link)
  const headers = { origin, "x-ingress-link": hash.slice(1) }
  return (await browser.request(`${origin}/_/link`, { method: "POST", headers })).status
}

/** All that a platform with private ports promises, by requests alone: the same on every host. */
export const outcome = async ({ ask, originOf, token, link, revoke, clock }: Running): Promise<void> => {
  const page = `${originOf("misha", 8000)}/`
  const second = `${originOf("misha", 5173)}/`
  const foreign = `${originOf("eve", 8000)}/`
  const bearer = { authorization: `Bearer ${token}` }
  const status = async (url: string, headers: Record<string, string> = {}) => (await ask(url, { headers })).status

  // A port is private until its settings say public.
  expect(await status(`${originOf("misha", 3000)}/`)).toBe(200)
  expect([await status(page), await status(second), await status(foreign)]).toEqual([401, 401, 401])
  expect(await status(page, navigation)).toBe(302)

  // A person signs in once for the project, and opens nobody else's.
  const ann = await signedIn(ask, page, "ann")
  for (const url of [page, second]) {
    const [only, ...others] = await ann.open(url)
    expect([only!.response.status, await only!.response.text(), others]).toEqual([
      200,
      expect.stringContaining("nothing secret") as string,
      [],
    ])
  }
  expect((await ann.open(foreign))[0]!.response.status).toBe(403)

  // An API client uses a token, for its port alone.
  const response = await ask(page, { method: "POST", headers: bearer })
  expect([response.status, await response.text()]).toEqual([200, expect.stringContaining("nothing secret") as string])
  expect([await status(second, bearer), await status(foreign, bearer)]).toEqual([403, 403])

  // A colleague opens a link, with an account that is no member's and without one.
  const eve = await signedIn(ask, foreign, "eve")
  expect((await eve.open(page))[0]!.response.status).toBe(403)
  const guest = browserOf({ ask })
  for (const browser of [eve, guest]) {
    expect(await openLink(browser, link)).toBe(200)
    expect((await browser.request(page)).status).toBe(200)
  }
  expect([(await eve.request(second)).status, (await guest.request(second)).status]).toEqual([403, 401])

  // It ends tomorrow.
  await clock(23 * HOUR)
  expect((await guest.request(page)).status).toBe(200)
  await clock(25 * HOUR)
  expect((await guest.request(page)).status).toBe(401)
  expect([await openLink(browserOf({ ask }), link), await status(page, bearer)]).toEqual([403, 401])
  await clock(0)

  // And all of it with the generation.
  expect([(await ann.request(page)).status, (await guest.request(page)).status]).toEqual([200, 200])
  await revoke()
  expect([(await ann.request(page)).status, (await ann.request(second)).status]).toEqual([401, 401])
  expect([(await guest.request(page)).status, (await eve.request(page)).status]).toEqual([401, 401])
  expect([await status(page, bearer), await openLink(browserOf({ ask }), link)]).toEqual([403, 403])
  expect(await status(`${originOf("misha", 3000)}/`)).toBe(200)
  // Whoever is still signed in to the control plane comes back without being asked.
  expect((await ann.open(page))[0]!.response.status).toBe(200)
}
