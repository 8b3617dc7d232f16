import { astro } from "./apps/astro.ts"
import { express, expressInProduction } from "./apps/express.ts"
import { fastapi } from "./apps/fastapi.ts"
import { git } from "./apps/git.ts"
import { hono } from "./apps/hono.ts"
import { jupyter } from "./apps/jupyter.ts"
import { mcp } from "./apps/mcp.ts"
import { next } from "./apps/next.ts"
import { nginx } from "./apps/nginx.ts"
import { opencode } from "./apps/opencode.ts"
import { socketIo } from "./apps/socket-io.ts"
import { vite } from "./apps/vite.ts"
import { webpack, webpackHot } from "./apps/webpack.ts"
import type { RealApp } from "./real-app.ts"

/** Real apps, by what a test run is to start at once. docs/frameworks.md lists all of them. */
export const realApps = {
  /** They start in a moment. */
  servers: [hono, express, expressInProduction, socketIo, mcp],
  /** They compile. */
  devServers: [vite, next, webpack, webpackHot, astro],
  /** They come from the system, or as a program. */
  programs: [opencode, jupyter, fastapi, nginx, git],
} satisfies Readonly<Record<string, readonly RealApp[]>>
