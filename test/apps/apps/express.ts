import { expect } from "vitest"
import { followed } from "../probes.ts"
import { startServer } from "../process.ts"
import { npmVersion } from "../real-app.ts"
import type { Check, RealApp } from "../real-app.ts"

const sessionIsKept = (secure: boolean): Check => ({
  kinds: ["page", "form", "redirect", "cookie"],
  claim: secure
    ? "a login sets a cookie for https only, and its session is kept after the redirect and a reload"
    : "a login sets a cookie, and its session is kept after the redirect and a reload",
  run: async ({ newPage, origin }) => {
    const { page } = await newPage()
    await page.goto(origin)
    expect(await page.innerText("#user")).toBe("nobody")
    await page.fill("[name=user]", "misha")
    await page.click("#login")
    await expect.poll(() => page.innerText("#user")).toBe("misha")
    expect(page.url()).toBe(`${origin}/`)
    await page.reload()
    expect(await page.innerText("#user")).toBe("misha")
    const cookies = await page.context().cookies()
    expect(cookies).toMatchObject([{ name: "connect.sid", domain: new URL(origin).hostname, secure }])
  },
})

const redirects = (to: string): Check => ({
  kinds: ["redirect"],
  claim: "an absolute redirect, built of its protocol and host, leads to its public origin",
  run: async ({ host, origin }) => {
    const headers = { "content-type": "application/x-www-form-urlencoded" }
    const response = await host.fetch(`${origin}/login`, { method: "POST", headers, body: "user=misha" })
    expect([response.status, response.headers.get("location")]).toEqual([303, `${origin}/`])
    const seen = await host.fetch(`${origin}/seen`)
    expect(await seen.json()).toMatchObject({ protocol: to, hostname: "localhost" })
  },
})

const base = { version: npmVersion("express"), fixture: "express" } as const

export const express: RealApp = {
  ...base,
  name: "Express with express-session",
  command: "PORT=$PORT node server.js",
  settings: {},
  start: startServer,
  probes: [{ ...followed("/login", { user: "misha" }), byDefault: "https://…/", withPublicName: "http://…/" }],
  checks: [sessionIsKept(false), redirects("http")],
}

/** A `secure` cookie is set only for a request that the app believes to be https. */
export const expressInProduction: RealApp = {
  ...base,
  name: "Express with `trust proxy` and a `secure` cookie",
  command: "NODE_ENV=production PORT=$PORT node server.js",
  settings: { forwardedProto: true },
  start: (folder) => startServer(folder, { NODE_ENV: "production" }),
  probes: [{ ...followed("/login", { user: "misha" }), byDefault: "https://…/", withPublicName: "https://…/" }],
  checks: [sessionIsKept(true), redirects("https")],
}
